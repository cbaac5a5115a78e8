"""Generators, autoencoders and diffusion: diffusers' classes, and small networks of the literature."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from catalogue import Torch, family, integers, normal

architecture = family("Generative models")


class Denoiser(nn.Module):
    """The U-Net of a latent diffusion model: the noise in a latent image, for a time step and a text."""

    def __init__(self):
        super().__init__()
        self.unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=(16, 32),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=8,
            norm_num_groups=4,
        )

    def forward(self, latent, step, text):
        return self.unet(latent, step, text, return_dict=False)[0]


@architecture("Diffusion U-Net")
def denoiser():
    return Torch(Denoiser(), {"latent": normal(1, 4, 8, 8), "step": integers(0, 1000, 1), "text": normal(1, 6, 16)})


class Decoder(nn.Module):
    """Latent image to image, of a variational autoencoder."""

    def __init__(self):
        super().__init__()
        self.autoencoder = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            sample_size=16,
        )

    def forward(self, latent):
        return self.autoencoder.decode(latent, return_dict=False)[0]


@architecture("VAE decoder, convolutions")
def image_decoder():
    return Torch(Decoder(), {"latent": normal(1, 4, 8, 8)})


@architecture("VAE decoder, flat latent")
def flat_decoder():
    grown = [nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Sigmoid()]
    return Torch(nn.Sequential(nn.Linear(8, 16 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (16, 7, 7)), *grown), {"latent": normal(1, 8)})


@architecture("Autoencoder")
def autoencoder():
    encoder = [nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 6)]
    return Torch(nn.Sequential(*encoder, nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 144), nn.Sigmoid()), {"image": normal(1, 1, 12, 12)})


@architecture("DCGAN")
def dcgan():
    def grown(given, made, *placing):
        return [nn.ConvTranspose2d(given, made, 4, *placing, bias=False), nn.BatchNorm2d(made), nn.ReLU()]

    layers = [*grown(16, 32, 1, 0), *grown(32, 16, 2, 1), *grown(16, 8, 2, 1), nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False), nn.Tanh()]
    return Torch(nn.Sequential(*layers), {"noise": normal(1, 16, 1, 1)})


class SuperResolution(nn.Module):
    """Channels become pixels (ESPCN, Shi et al. 2016)."""

    def __init__(self, factor=2):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, 8, 3, padding=1), nn.Tanh())
        self.up = nn.Sequential(nn.Conv2d(8, factor**2, 3, padding=1), nn.PixelShuffle(factor))

    def forward(self, image):
        return self.up(self.layers(image))


@architecture("Super-resolution")
def super_resolution():
    return Torch(SuperResolution(), {"image": normal(1, 1, 16, 16)})


class Vae(nn.Module):
    """Encoder and decoder, with the noise as an input."""

    def __init__(self, size=64, latent=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(size, 24), nn.ReLU(), nn.Linear(24, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 24), nn.ReLU(), nn.Linear(24, size), nn.Sigmoid())

    def forward(self, x, noise):
        mean, log_variance = self.encoder(x).chunk(2, -1)
        return self.decoder(mean + torch.exp(log_variance / 2) * noise), mean, log_variance


@architecture("VAE")
def vae():
    return Torch(Vae(), {"x": normal(1, 64), "noise": normal(1, 4)})
