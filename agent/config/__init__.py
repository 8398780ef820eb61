"""The compiler: monitors.yaml to Problems, or to a Plan. Never runs in the host."""
