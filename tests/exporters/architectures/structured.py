"""Tables, recommendations, graphs and point sets."""

import torch
from torch import nn

from catalogue import Torch, family, integers, normal

architecture = family("Tables, recommendations, graphs, point sets")


def layers(*widths):
    pairs = list(zip(widths, widths[1:]))
    made = [part for given, width in pairs for part in (nn.Linear(given, width), nn.ReLU())]
    return nn.Sequential(*made[:-1])


class Dlrm(nn.Module):
    """Products of all pairs of features (Naumov et al. 2019)."""

    def __init__(self, tables=(20, 30, 40), width=8):
        super().__init__()
        self.bottom = layers(6, 16, width)
        self.tables = nn.ModuleList(nn.EmbeddingBag(rows, width, mode="sum") for rows in tables)
        features = 1 + len(tables)
        self.below = torch.tril_indices(features, features, -1)
        self.top = layers(width + self.below.shape[1], 16, 1)

    def forward(self, dense, sparse):
        dense = self.bottom(dense)
        looked_up = [table(sparse[:, i : i + 1]) for i, table in enumerate(self.tables)]
        features = torch.stack([dense, *looked_up], 1)
        products = torch.bmm(features, features.transpose(1, 2))[:, self.below[0], self.below[1]]
        return self.top(torch.cat([dense, products], 1)).sigmoid()


@architecture("DLRM")
def dlrm():
    return Torch(Dlrm(), {"dense": normal(8, 6), "sparse": integers(0, 20, 8, 3)})


class Ncf(nn.Module):
    """Factorization beside a perceptron (He et al. 2017)."""

    def __init__(self, users=50, items=40, width=8):
        super().__init__()
        self.factors = nn.ModuleList([nn.Embedding(users, width), nn.Embedding(items, width)])
        self.deep = nn.ModuleList([nn.Embedding(users, width), nn.Embedding(items, width)])
        self.layers, self.head = layers(2 * width, 16, 8), nn.Linear(width + 8, 1)

    def forward(self, user, item):
        product = self.factors[0](user) * self.factors[1](item)
        deep = self.layers(torch.cat([self.deep[0](user), self.deep[1](item)], -1))
        return self.head(torch.cat([product, deep], -1)).squeeze(-1)


@architecture("NCF")
def collaborative_filtering():
    return Torch(Ncf(), {"user": integers(0, 50, 8), "item": integers(0, 40, 8)})


class TableTransformer(nn.Module):
    """A token for each column (FT-Transformer, Gorishniy et al. 2021)."""

    def __init__(self, numbers=5, categories=(4, 6), width=16):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(numbers, width)), nn.Parameter(torch.randn(numbers, width))
        self.tables = nn.ModuleList(nn.Embedding(rows, width) for rows in categories)
        self.first = nn.Parameter(torch.randn(1, 1, width))
        layer = nn.TransformerEncoderLayer(width, 4, 32, batch_first=True, norm_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, 3))

    def forward(self, numbers, categories):
        tokens = [numbers.unsqueeze(-1) * self.weight + self.bias]
        tokens += [table(categories[:, i : i + 1]) for i, table in enumerate(self.tables)]
        tokens = torch.cat([self.first.expand(numbers.shape[0], -1, -1), *tokens], 1)
        return self.head(self.encoder(tokens)[:, 0])


@architecture("FT-Transformer")
def table_transformer():
    return Torch(TableTransformer(), {"numbers": normal(4, 5), "categories": integers(0, 4, 4, 2)})


class GraphConvolution(nn.Module):
    """Two convolutions over a dense adjacency matrix, degrees normalized (Kipf, Welling 2017)."""

    def __init__(self, given, width, classes):
        super().__init__()
        self.first, self.second = nn.Linear(given, width), nn.Linear(width, classes)

    def forward(self, nodes, adjacency):
        adjacency = adjacency + torch.eye(adjacency.shape[-1])
        scale = adjacency.sum(-1, keepdim=True).rsqrt()
        propagate = scale * adjacency * scale.transpose(-1, -2)
        return propagate @ self.second((propagate @ self.first(nodes)).relu())


def graph(nodes):
    """The adjacency matrix of a random undirected graph."""

    def draw(rng):
        edges = rng.random((nodes, nodes)) < 0.2
        return (edges | edges.T).astype("float32")

    return draw


@architecture("GCN")
def graph_convolution():
    return Torch(GraphConvolution(8, 16, 4), {"nodes": normal(12, 8), "adjacency": graph(12)})


class GraphAttention(nn.Module):
    """One head of attention along the edges of a graph (Velickovic et al. 2018)."""

    def __init__(self, given, width, classes):
        super().__init__()
        self.project, self.head = nn.Linear(given, width, bias=False), nn.Linear(width, classes)
        self.target, self.source = nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, nodes, adjacency):
        nodes = self.project(nodes)
        scores = nn.functional.leaky_relu(self.target(nodes) + self.source(nodes).transpose(-1, -2), 0.2)
        linked = adjacency + torch.eye(adjacency.shape[-1]) > 0
        weights = scores.masked_fill(~linked, float("-inf")).softmax(-1)
        return self.head(nn.functional.elu(weights @ nodes))


@architecture("GAT")
def graph_attention():
    return Torch(GraphAttention(8, 16, 4), {"nodes": normal(12, 8), "adjacency": graph(12)})


class PointNet(nn.Module):
    """The same layers for every point, and the greatest of each feature (Qi et al. 2017)."""

    def __init__(self, width=32):
        super().__init__()
        widths = (3, 16, 16, width)
        self.points = nn.Sequential(
            *(part for a, b in zip(widths, widths[1:]) for part in (nn.Conv1d(a, b, 1), nn.BatchNorm1d(b), nn.ReLU()))
        )
        self.align, self.head = layers(width, 16, 9), layers(width, 16, 5)

    def forward(self, points):
        turn = self.align(self.points(points).amax(-1)).view(-1, 3, 3)
        aligned = (turn + torch.eye(3)) @ points
        return self.head(self.points(aligned).amax(-1))


@architecture("PointNet")
def point_net():
    return Torch(PointNet(), {"points": normal(1, 3, 48)})
