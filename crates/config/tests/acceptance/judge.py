#!/usr/bin/env python3
"""Asks OpenTofu and Terraform whether they accept each case of *.txt beside this file, and writes down what they say.

Usage: judge.py TOFU TERRAFORM

A case is `=== name`, then files, each after a line `-- path` (the first is main.tf if it has none). The answers stand
behind the name: `=== name | tofu accepts | terraform refuses`. A tool refuses a case if `init`, `validate` or `plan`
does; cases that cannot be planned for want of a state or an account are only validated. What else stands behind the
name is kept.
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent


def read_cases(text):
    for part in text.split("=== ")[1:]:
        head, _, body = part.partition("\n")
        files, path, lines = {}, "main.tf", []
        for line in body.splitlines(keepends=True):
            if line.startswith("-- "):
                if "".join(lines).strip():
                    files[path] = "".join(lines)
                path, lines = line[3:].strip(), []
            else:
                lines.append(line)
        files[path] = "".join(lines)
        name, *marks = head.split(" | ")
        yield name, [mark for mark in marks if mark.split()[0] not in ("tofu", "terraform")], body, files


def verdict(tool, files):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    text = "\n".join(files.values())
    commands = [["validate", "-json"]]
    if "module" in text or "backend" in text:
        commands.insert(0, ["init", "-input=false", "-no-color"])
    if "terraform_remote_state" not in text and "cloud {" not in text:
        commands.append(["plan", "-input=false", "-no-color"])
    if "cloud {" in text:
        commands = [["validate", "-json"]]
    with tempfile.TemporaryDirectory() as folder:
        for path, content in files.items():
            target = pathlib.Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        for command in commands:
            done = subprocess.run([tool, *command], cwd=folder, capture_output=True, text=True, env=environment)
            if done.returncode != 0:
                return "refuses", command[0] + ": " + reason(done)
    return "accepts", ""


def reason(done):
    try:
        return next(d["summary"] for d in json.loads(done.stdout)["diagnostics"] if d["severity"] == "error")
    except (ValueError, KeyError, StopIteration):
        return (done.stdout + done.stderr).strip().replace("\n", " ")[:200]


def main():
    tools = {"tofu": sys.argv[1], "terraform": sys.argv[2]}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path in sorted(HERE.glob("*.txt")):
            cases = list(read_cases(path.read_text()))
            asked = [
                {name: pool.submit(verdict, tool, files) for name, tool in tools.items()} for *_, files in cases
            ]
            text = ""
            for (name, marks, body, _), answers in zip(cases, asked):
                said = {tool: answer.result() for tool, answer in answers.items()}
                text += "=== " + " | ".join([name, *(f"{tool} {said[tool][0]}" for tool in tools), *marks]) + "\n" + body
                print(name, said, sep="\t", flush=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
