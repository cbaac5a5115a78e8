"""Detectors up to the boxes and scores that non-maximum suppression, which no static shape has, is applied to."""

import torch
from torch import nn
from torchvision.models.detection import fcos, ssd
from torchvision.ops import Conv2dNormActivation

from catalogue import Torch, family, normal

architecture = family("Detection heads")
IMAGE = {"image": normal(1, 3, 64, 64)}
CLASSES = 4


def backbone(*widths):
    """A feature map a width, each half as large as the one before."""
    pairs = zip((3, *widths), widths)
    return nn.ModuleList(Conv2dNormActivation(given, made, stride=2) for given, made in pairs)


class Pyramid(nn.Module):
    """The last maps of a backbone, and a head of torchvision on all of them."""

    def __init__(self, widths, levels, head):
        super().__init__()
        self.stages, self.levels, self.head = backbone(*widths), levels, head

    def forward(self, image):
        maps = []
        for stage in self.stages:
            image = stage(image)
            maps.append(image)
        return tuple(self.head(maps[-self.levels :]).values())


class Yolo(nn.Module):
    """The cells of two maps as boxes in pixels, objectness and classes (YOLOv5)."""

    def __init__(self, anchors=3):
        super().__init__()
        self.stages, self.anchors = backbone(8, 16, 32), anchors
        self.heads = nn.ModuleList(nn.Conv2d(width, anchors * (5 + CLASSES), 1) for width in (16, 32))
        self.sizes = nn.Parameter(torch.rand(2, anchors, 1, 1, 2) * 16 + 8)

    def forward(self, image):
        found = []
        x = self.stages[0](image)
        for stage, head, size, stride in zip(self.stages[1:], self.heads, self.sizes, (4, 8)):
            x = stage(x)
            batch, _, rows, columns = x.shape
            cells = head(x).view(batch, self.anchors, 5 + CLASSES, rows, columns).permute(0, 1, 3, 4, 2).sigmoid()
            down, right = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            corners = torch.stack([right, down], -1).float()
            centers = (cells[..., :2] * 2 - 0.5 + corners) * stride
            boxes = torch.cat([centers, (cells[..., 2:4] * 2) ** 2 * size, cells[..., 4:]], -1)
            found.append(boxes.reshape(batch, -1, 5 + CLASSES))
        return torch.cat(found, 1)


@architecture("YOLO")
def yolo():
    return Torch(Yolo(), IMAGE)


@architecture("SSD")
def single_shot():
    return Torch(Pyramid((8, 16, 24), 2, ssd.SSDHead([16, 24], [4, 4], CLASSES)), IMAGE)


@architecture("FCOS")
def fully_convolutional():
    return Torch(Pyramid((8, 32, 32), 2, fcos.FCOSHead(32, 1, CLASSES, num_convs=1)), IMAGE)
