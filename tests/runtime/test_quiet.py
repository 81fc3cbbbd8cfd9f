"""Libraries that are imported along with others don't speak to people who did not ask for them."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_importing_the_models_prints_nothing(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    text = "import recipe_runtime\nfrom diffusers import SanaVideoTransformer3DModel"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout + done.stderr == ""
