#!/usr/bin/env bash
# A command line that makes one small Arrow array or scalar, in an environment where pandas is installed but not used.
# Guess: pyarrow imports pandas where it converts to or from it (`to_pandas`, `from_pandas`), and no other call pays for it.
# Seen (pyarrow 26.0.1, pandas 3.0.3): whatever takes a value of Python's imports pandas, which takes several times as long as pyarrow
#        itself: `pa.array`, also with a type or of NumPy's or with `from_pandas=False`, `pa.scalar`, `pa.repeat`, tables from lists,
#        and functions of `pyarrow.compute` that are given numbers. `pa.nulls` and arrays of buffers do not. pyarrow asks
#        whether the value is pandas', and to ask it imports it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 pandas==3.0.3 numpy==2.4.6
cd "$work"
cat > imports.py <<'PYTHON'
import subprocess
import sys

IMPORT = "import pyarrow as pa, pyarrow.compute as pc, numpy as np, sys, time; began = time.perf_counter(); "
SAY = "; print('pandas' in sys.modules, time.perf_counter() - began)"
NEED_IT = ("pa.array([1, 2])", "pa.array([1], pa.int64(), from_pandas=False)", "pa.array(np.arange(3))", "pa.scalar(1)",
           "pa.repeat(1, 3)", "pa.table({'a': [1]})", "pa.Table.from_pylist([{'a': 1}])", "pc.add(1, 2)")
DO_NOT = ("pa.nulls(3)", "pa.Array.from_buffers(pa.int8(), 3, [None, pa.py_buffer(b'abc')])")


def asked(call):
    said = subprocess.run([sys.executable, "-c", IMPORT + call + SAY], capture_output=True, text=True, check=True).stdout.split()
    return said[0] == "True", float(said[1])


seen = {call: asked(call) for call in NEED_IT + DO_NOT}
for call, (is_imported, seconds) in seen.items():
    print(f"{call}: {'pandas is imported' if is_imported else 'no pandas'}, {seconds:.4f} s")
assert all(seen[call][0] for call in NEED_IT) and not any(seen[call][0] for call in DO_NOT), "this has changed"
PYTHON
"$work/venv/bin/python" imports.py
