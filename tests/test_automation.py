"""Workflows, issue forms and the development container: well-formed, and what they call exists. None of them runs here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import run
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
JOB_KEYS = {
    "name", "runs-on", "timeout-minutes", "strategy", "steps", "continue-on-error", "needs", "if", "permissions",
    "environment", "env", "outputs", "defaults", "concurrency",
}  # fmt: skip
STEP_KEYS = {"name", "id", "if", "uses", "with", "run", "env", "shell", "working-directory", "continue-on-error"}


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_known_keys_and_each_job_a_time_limit(path):
    content = load(path)
    triggers = content[True]  # YAML 1.1 reads the key "on" as True
    assert triggers and content["permissions"] and set(content) <= {
        "name", True, "permissions", "concurrency", "jobs", "env", "defaults",
    }  # fmt: skip
    for job in content["jobs"].values():
        assert set(job) <= JOB_KEYS and {"runs-on", "timeout-minutes", "steps"} <= set(job)
        for step in job["steps"]:
            assert set(step) <= STEP_KEYS and ("run" in step) != ("uses" in step)
        needed = job.get("needs", [])
        assert {needed} if isinstance(needed, str) else set(needed) <= set(content["jobs"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_action_has_a_version(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used and all(re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+(\.\d+)*", name) for name in used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_calls_exists(path):
    for step in steps(path):
        command = step.get("run", "")
        for target in re.findall(r"(?:^make|tools/run\.py) ([\w-]+)", command):
            assert target in run.TARGETS
        for name in re.findall(r"tests/[\w/]+\.py", command):
            assert (ROOT / name).is_file()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_fits_the_published_schema(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_for_what_is_needed(path):
    form = load(path)
    assert set(form) == {"name", "description", "labels", "body"}
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    for field in form["body"]:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert set(field) <= {"type", "id", "attributes", "validations"} and field["attributes"]["label"]
    assert ("environment" in ids) == (path.stem != "unclear")
    for field in form["body"]:  # an example of a run is one that is there
        example = field["attributes"].get("placeholder", "")
        assert "/runs/" not in example or (ROOT / "results" / f"{example}.json").is_file()


def test_the_container_sets_up_what_the_targets_need():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["onCreateCommand"].startswith("make setup ") and "setup" in run.TARGETS
    assert container["forwardPorts"] == [int(run.OPTIONS[name]) for name in ("PORT", "LAB_PORT")]
