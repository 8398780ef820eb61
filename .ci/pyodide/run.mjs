// Starts Pyodide from the folder in the first argument and runs pytest with the others, in the checkout.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [home, ...args] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(path.resolve(home, "node_modules/pyodide/pyodide.mjs")));
const pyodide = await loadPyodide({
  env: {
    HOME: "/home/pyodide",
    PYTHONDONTWRITEBYTECODE: "1",
    HYPOTHESIS_STORAGE_DIRECTORY: "/tmp/hypothesis",
    ...(process.env.AGENT_INJECTION && { AGENT_INJECTION: process.env.AGENT_INJECTION }),
  },
  enableRunUntilComplete: false, // capabilities.py has an event loop
});
pyodide.setStdout({ write: (bytes) => fs.writeSync(1, bytes) });
pyodide.setStderr({ write: (bytes) => fs.writeSync(2, bytes) });
pyodide.mountNodeFS("/checkout", process.cwd());
pyodide.globals.set("arguments", pyodide.toPy(args));
process.exitCode = pyodide.runPython(`
import os, sys
os.chdir("/checkout")
sys.path[:0] = ["/checkout", "/checkout/.ci/pyodide", "/checkout/var/pyodide/site"]
import pytest
print("Python", sys.version)
int(pytest.main(["-p", "capabilities", "-p", "no:cacheprovider", *arguments]))
`);
