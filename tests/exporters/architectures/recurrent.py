"""Sequences: recurrent networks, and dilated convolutions in their place."""

import torch
from torch import nn

from catalogue import Torch, family, integers, normal

architecture = family("Sequence models")
STEPS, CHANNELS = 10, 8
SERIES = {"series": normal(1, STEPS, CHANNELS)}


class Recurrent(nn.Module):
    """A recurrent layer, read at the last step."""

    def __init__(self, layer, width):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 4)

    def forward(self, series):
        return self.head(self.layer(series)[0][:, -1])


@architecture("LSTM")
def lstm():
    return Torch(Recurrent(nn.LSTM(CHANNELS, 16, 2, batch_first=True), 16), SERIES)


@architecture("Bidirectional LSTM")
def bidirectional():
    return Torch(Recurrent(nn.LSTM(CHANNELS, 12, batch_first=True, bidirectional=True), 24), SERIES)


@architecture("GRU")
def gru():
    return Torch(Recurrent(nn.GRU(CHANNELS, 16, batch_first=True), 16), SERIES)


class Tagger(nn.Module):
    """A tag for each token."""

    def __init__(self):
        super().__init__()
        self.embedding, self.layer = nn.Embedding(40, 12), nn.GRU(12, 12, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, 5)

    def forward(self, tokens):
        return self.head(self.layer(self.embedding(tokens))[0]).log_softmax(-1)


@architecture("GRU tagger")
def tagger():
    return Torch(Tagger(), {"tokens": integers(0, 40, 1, STEPS)})


class Temporal(nn.Module):
    """A residual block of two dilated causal convolutions (Bai et al. 2018)."""

    def __init__(self, given, made, dilation):
        super().__init__()
        self.pad = nn.ConstantPad1d((2 * dilation, 0), 0.0)
        self.first = nn.utils.parametrizations.weight_norm(nn.Conv1d(given, made, 3, dilation=dilation))
        self.second = nn.utils.parametrizations.weight_norm(nn.Conv1d(made, made, 3, dilation=dilation))
        self.shortcut = nn.Conv1d(given, made, 1)

    def forward(self, x):
        made = self.first(self.pad(x)).relu()
        return (self.second(self.pad(made)).relu() + self.shortcut(x)).relu()


@architecture("TCN")
def temporal_network():
    blocks = [Temporal(CHANNELS, 16, 1), Temporal(16, 16, 2), Temporal(16, 16, 4)]
    return Torch(nn.Sequential(*blocks, nn.Conv1d(16, 3, 1)), {"series": normal(1, CHANNELS, 24)})


class WaveNet(nn.Module):
    """Gated dilated convolutions with skip connections (van den Oord et al. 2016)."""

    def __init__(self, width=12, layers=4):
        super().__init__()
        self.start, self.dilations = nn.Conv1d(1, width, 1), [2**layer for layer in range(layers)]
        self.gated = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=d) for d in self.dilations)
        self.residual = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in self.dilations)
        self.skipped = nn.ModuleList(nn.Conv1d(width, 16, 1) for _ in self.dilations)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(16, 16, 1), nn.ReLU(), nn.Conv1d(16, 32, 1))

    def forward(self, wave):
        x, total = self.start(wave), 0
        for dilation, gated, residual, skipped in zip(self.dilations, self.gated, self.residual, self.skipped):
            filtered, gate = gated(nn.functional.pad(x, (dilation, 0))).chunk(2, 1)
            made = filtered.tanh() * gate.sigmoid()
            total = total + skipped(made)
            x = x + residual(made)
        return self.head(total)


@architecture("WaveNet")
def wavenet():
    return Torch(WaveNet(), {"wave": normal(1, 1, 48)})
