"""What `validate --format sarif` prints, against the SARIF 2.1.0 schema of OASIS, which is not kept here.

python tests/compat/sarif.py sarif-schema-2.1.0.json
"""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main(schema: str) -> int:
    import jsonschema

    with open(schema, encoding="utf-8") as stream:
        validator = jsonschema.Draft7Validator(json.load(stream))
    cases = glob.glob(os.path.join(ROOT, "tests", "config", "cases", "*", "*.yaml"))
    said = subprocess.run([sys.executable, "-m", "agent", "validate", "--format", "sarif", *cases, "/nowhere.yaml"],
                          cwd=ROOT, capture_output=True, check=False)  # fmt: skip
    sarif = json.loads(said.stdout)
    wrong = [f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(sarif)]
    print(f"{len(cases) + 1} files, {len(sarif['runs'][0]['results'])} results, {len(wrong)} violations of the schema")
    for line in wrong[:20]:
        print(line)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
