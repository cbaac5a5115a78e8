"""Transformers of images, and of images and texts."""

import transformers as hf
from torch import nn
from torchvision.models import SwinTransformer

from architectures.language import MASKED, SPECIAL, SPREAD, VOCABULARY, logits
from catalogue import Torch, family, normal, uniform

architecture = family("Vision transformers")
IMAGE = {"pixel_values": normal(1, 3, 32, 32)}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
PATCHES = WIDTHS | {"image_size": 32, "patch_size": 8, "initializer_range": SPREAD}


@architecture("ViT")
def vit():
    return logits(hf.ViTForImageClassification(hf.ViTConfig(**PATCHES, num_labels=10)), IMAGE)


@architecture("DeiT")
def deit():
    return logits(hf.DeiTForImageClassificationWithTeacher(hf.DeiTConfig(**PATCHES, num_labels=10)), IMAGE)


@architecture("Swin")
def swin():
    windows = SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], stochastic_depth_prob=0.0, num_classes=10)
    return Torch(windows, {"image": normal(1, 3, 32, 32)})


@architecture("CLIP, text")
def clip_text():
    config = hf.CLIPTextConfig(**WIDTHS, vocab_size=VOCABULARY, max_position_embeddings=16, **SPECIAL)
    return logits(hf.CLIPTextModel(config), MASKED, "pooler_output")


@architecture("CLIP, image")
def clip_image():
    return logits(hf.CLIPVisionModel(hf.CLIPVisionConfig(**PATCHES)), IMAGE, "pooler_output")


class Segment(nn.Module):
    """Masks for one point in an image (Segment Anything)."""

    def __init__(self):
        super().__init__()
        vision = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "mlp_dim": 64, "image_size": 32, "patch_size": 8}
        vision |= {"output_channels": 16, "window_size": 2, "global_attn_indexes": [1], "num_pos_feats": 8, "initializer_range": SPREAD}
        prompt = {"hidden_size": 16, "image_size": 32, "patch_size": 8, "mask_input_channels": 4}
        decoder = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
        parts = {"vision_config": vision, "prompt_encoder_config": prompt, "mask_decoder_config": decoder}
        self.model = hf.SamModel(hf.SamConfig(**parts, initializer_range=SPREAD))

    def forward(self, image, point):
        found = self.model(pixel_values=image, input_points=point)
        return found.pred_masks, found.iou_scores


@architecture("SAM")
def segment_anything():
    return Torch(Segment(), {"image": normal(1, 3, 32, 32), "point": uniform(0, 32, 1, 1, 1, 2)})


class Mixer(nn.Module):
    """Perceptrons across patches and across channels (Tolstikhin et al. 2021)."""

    def __init__(self, patches=16, width=16, layers=2):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 8, stride=8)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers + 1))
        self.tokens = nn.ModuleList(nn.Sequential(nn.Linear(patches, 32), nn.GELU(), nn.Linear(32, patches)) for _ in range(layers))
        self.channels = nn.ModuleList(nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width)) for _ in range(layers))
        self.head = nn.Linear(width, 10)

    def forward(self, image):
        x = self.stem(image).flatten(2).transpose(1, 2)
        for i, (tokens, channels) in enumerate(zip(self.tokens, self.channels)):
            x = x + tokens(self.norms[2 * i](x).transpose(1, 2)).transpose(1, 2)
            x = x + channels(self.norms[2 * i + 1](x))
        return self.head(self.norms[-1](x).mean(1))


@architecture("MLP-Mixer")
def mixer():
    return Torch(Mixer(), {"image": normal(1, 3, 32, 32)})
