"""Convolutional networks: torchvision's classes, with few channels and blocks, and small ones of the literature."""

from functools import partial

import torch
from torch import nn
from torchvision.models import ConvNeXt, DenseNet, EfficientNet, MobileNetV2, MobileNetV3, ShuffleNetV2, squeezenet1_1, vgg
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.resnet import BasicBlock, conv1x1

from catalogue import Torch, family, normal

architecture = family("Convolutional networks")
IMAGE = {"image": normal(1, 3, 32, 32)}
CLASSES = 10


@architecture("LeNet-5")
def lenet():
    features = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)]
    head = [nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, CLASSES)]
    return Torch(nn.Sequential(*features, *head), {"image": normal(1, 1, 28, 28)})


@architecture("VGG")
def vgg_network():
    features = vgg.make_layers([8, "M", 16, "M", 32, 32, "M"], batch_norm=True)
    return Torch(nn.Sequential(features, nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, CLASSES)), IMAGE)


@architecture("ResNet")
def resnet():
    def block(given, made):
        shortcut = nn.Sequential(conv1x1(given, made, 2), nn.BatchNorm2d(made))
        return nn.Sequential(BasicBlock(given, made, 2, shortcut), BasicBlock(made, made))

    stem = [nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return Torch(nn.Sequential(*stem, block(8, 16), block(16, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES)), IMAGE)


@architecture("MobileNetV2")
def mobilenet():
    settings = [[1, 8, 1, 1], [4, 8, 2, 2], [4, 16, 2, 2]]
    return Torch(MobileNetV2(CLASSES, width_mult=0.25, inverted_residual_setting=settings), IMAGE)


@architecture("MobileNetV3")
def mobilenet_3():
    setting = partial(InvertedResidualConfig, width_mult=1.0)
    settings = [setting(8, 3, 8, 8, True, "RE", 2, 1), setting(8, 3, 24, 16, False, "RE", 2, 1), setting(16, 5, 48, 16, True, "HS", 1, 1)]
    return Torch(MobileNetV3(settings, 32, CLASSES), IMAGE)


@architecture("EfficientNet")
def efficientnet():
    setting = partial(MBConvConfig, width_mult=1.0, depth_mult=1.0)
    settings = [setting(1, 3, 1, 8, 8, 1), setting(4, 3, 2, 8, 16, 2), setting(4, 5, 2, 16, 24, 1)]
    return Torch(EfficientNet(settings, 0.2, num_classes=CLASSES, last_channel=64), IMAGE)


@architecture("DenseNet")
def densenet():
    network = DenseNet(growth_rate=4, block_config=(2, 2, 2), num_init_features=8, bn_size=2, num_classes=CLASSES)
    return Torch(network, {"image": normal(1, 3, 64, 64)})


@architecture("SqueezeNet")
def squeezenet():
    return Torch(squeezenet1_1(num_classes=CLASSES), IMAGE)


@architecture("ShuffleNetV2")
def shufflenet():
    return Torch(ShuffleNetV2([2, 2, 2], [8, 16, 32, 64, 64], CLASSES), {"image": normal(1, 3, 64, 64)})


@architecture("ConvNeXt")
def convnext():
    return Torch(ConvNeXt([CNBlockConfig(8, 16, 2), CNBlockConfig(16, None, 2)], layer_scale=0.5, num_classes=CLASSES), IMAGE)


class UNet(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        pairs = list(zip(widths, widths[1:]))
        self.down = nn.ModuleList(self.block(given, made) for given, made in [(3, widths[0]), *pairs])
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for shallow, deep in reversed(pairs))
        self.merge = nn.ModuleList(self.block(2 * shallow, shallow) for shallow, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], 2, 1)

    @staticmethod
    def block(given, made):
        return nn.Sequential(nn.Conv2d(given, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU())

    def forward(self, image):
        skipped, x = [], image
        for block in self.down[:-1]:
            skipped.append(block(x))
            x = nn.functional.max_pool2d(skipped[-1], 2)
        x = self.down[-1](x)
        for up, merge, skip in zip(self.up, self.merge, reversed(skipped)):
            x = merge(torch.cat([skip, up(x)], 1))
        return self.head(x)


@architecture("U-Net")
def unet():
    return Torch(UNet(8, 16, 32), IMAGE)
