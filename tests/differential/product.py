"""The command line under test."""

import json
import os
import subprocess
from dataclasses import dataclass

import numpy as np

import tensors


class Fault(Exception):
    """What must never happen: `kind` is crash, hang or unverified."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind, self.text = kind, text


class Refused(Exception):
    """The model is refused, with the reason."""


@dataclass
class Compiled:
    """A compiled model: the folder, and the least and greatest value that each input accepts."""

    folder: object
    accepted: dict


class Product:
    def __init__(self, binary, seconds=60, threads=1):
        self.binary, self.seconds = str(binary), seconds
        self.environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}

    def call(self, *arguments, codes=(0, 2)):
        """Exit code, output and message."""
        command = [self.binary, *map(str, arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.seconds, env=self.environment, check=False)
        except subprocess.TimeoutExpired as late:
            raise Fault("hang", f"{arguments[0]}: more than {self.seconds} s") from late
        message = (done.stderr or done.stdout).strip()
        if done.returncode not in codes or "panicked" in message:
            raise Fault("crash", f"{arguments[0]}: exit code {done.returncode}: {message[-400:]}")
        return done.returncode, done.stdout, message

    def compile(self, model, samples, folder):
        """Compiles an ONNX file with a file of samples."""
        code, _, message = self.call("compile", model, "--samples", samples, "--out", folder)
        if code:
            raise Refused(message)
        _, out, _ = self.call("inspect", folder, "--json", codes=(0,))
        ports = json.loads(out)["inputs"]
        return Compiled(folder, {port["name"]: ends(port) for port in ports})

    def run(self, compiled, inputs, scratch):
        """For each input its outputs, or the message with which it is refused."""
        given, made = scratch / "inputs.jsonl", scratch / "outputs.jsonl"
        given.write_text(tensors.lines("inputs", inputs))
        _, _, message = self.call("run", compiled.folder, "--inputs", given, "--out", made)
        results = [json.loads(line) for line in made.read_text().splitlines()]
        if len(results) != len(inputs):
            raise Fault("crash", f"{len(results)} results for {len(inputs)} inputs: {message}")
        return [tensors.read(result["outputs"]) if "outputs" in result else result["error"] for result in results]

    def stated_error(self, model, samples):
        """The error that `check` measures on the samples, as a share of the output's range."""
        _, out, _ = self.call("check", model, "--samples", samples, "--json", codes=(0, 1, 2))
        try:
            return float(json.loads(out[out.index("{") :])["max_rel_error"])
        except (ValueError, KeyError, TypeError):
            return 0.0

    def prove(self, compiled, given, expected, scratch):
        """Proves and verifies an input whose outputs `run` gave; what is public must be the same outputs."""
        file = scratch / "input.json"
        file.write_text(tensors.line("inputs", given))
        proof, public, key = (scratch / name for name in ("proof.bin", "public.json", "model.vk"))
        code, _, message = self.call("prove", compiled.folder, "--input", file, "--proof", proof, "--public", public, "--key", key)
        if code:
            raise Fault("unverified", f"runs and cannot be proved: {message}")
        code, _, message = self.call("verify", "--key", key, "--proof", proof, "--public", public, codes=(0, 1, 2))
        if code:
            raise Fault("unverified", message)
        shown = {entry["name"]: entry for entry in json.loads(public.read_text())["outputs"]}
        for name, array in expected.items():
            if not np.array_equal(np.array(shown[name]["data"], dtype=float).reshape(-1), array.astype(float).reshape(-1)):
                raise Fault("unverified", f"{name} is proved to be something else than what `run` gives")


def ends(port):
    """The least and the greatest value of a port; arrays where each column has its own unit."""
    scale, bounds = port["scale"], port["range"]
    if scale == 1:
        return tuple(bounds)
    if isinstance(scale, dict):
        # A step for each index of an axis.
        shape = [1] * len(port["shape"])
        shape[scale["axis"]] = -1
        scale = np.broadcast_to(np.asarray(scale["steps"]).reshape(shape), port["shape"])
    return (bounds[0] * scale, bounds[1] * scale)
