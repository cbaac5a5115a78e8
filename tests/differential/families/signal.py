"""Spectra and windows."""

import numpy as np

from families import idiom


@idiom(since=17, weight=4)
def window(b):
    """A signal in a window."""
    x = b.real(fits=lambda v: v.rank > 0 and v.shape[-1] > 2)
    operator = b.one_of(["HannWindow", "HammingWindow", "BlackmanWindow"])
    w = b.node(operator, [b.constant(np.int64(x.shape[-1]))], periodic=b.between(0, 1))
    return b.node("Mul", [x, w])


@idiom(since=17)
def dft(b):
    x = b.within(b.real(rank=2, fits=lambda v: 2 < v.shape[1] <= 16), 20.0)
    x = b.unsqueeze(x, [2])
    onesided = b.between(0, 1)
    if b.opset >= 20:
        y = b.node("DFT", [x, None, b.constant(np.int64(1))], onesided=onesided)
    else:
        y = b.node("DFT", [x], axis=1, onesided=onesided)
    return b.reduce("ReduceSumSquare", y, [2], keepdims=0) if b.chance(0.5) else y


@idiom(since=17, weight=3)
def stft(b):
    x = b.within(b.real(shape=(1, 16)), 20.0)
    frame = b.node("HannWindow", [b.constant(np.int64(8))]) if b.chance(0.5) else None
    length = b.constant(np.int64(8))
    return b.node("STFT", [x, b.constant(np.int64(4)), frame, length], onesided=1)


@idiom(since=17, weight=2.5)
def mel_spectrum(b):
    x = b.within(b.real(shape=(b.between(1, 3), 9)), 20.0)
    scalars = [np.int64(5), np.int64(16), np.int64(8000), np.float32(0.0), np.float32(4000.0)]
    mel = b.node("MelWeightMatrix", [b.constant(s, dtype=s.dtype) for s in scalars])
    energy = b.node("MatMul", [b.node("Mul", [x, x]), mel])
    return b.node("Log", [b.node("Add", [energy, b.constant(b.one_of([1e-3, 1.0]))])]) if b.chance(0.7) else energy
