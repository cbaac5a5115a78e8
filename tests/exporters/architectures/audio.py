"""Speech."""

import transformers as hf
from torch import nn

from architectures.language import SPREAD, logits
from catalogue import Torch, family, normal

architecture = family("Speech")


@architecture("Whisper encoder")
def whisper():
    sizes = {"num_mel_bins": 16, "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 64}
    decoder = {"decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 64}
    config = hf.WhisperConfig(**sizes, **decoder, max_source_positions=16, init_std=SPREAD)
    encoder = hf.WhisperModel(config).encoder
    return logits(encoder, {"input_features": normal(1, 16, 32)}, "last_hidden_state")


@architecture("wav2vec 2.0")
def wav2vec():
    config = hf.Wav2Vec2Config(
        vocab_size=32,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        conv_dim=(16, 16, 16),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 3),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        initializer_range=SPREAD,
    )
    return logits(hf.Wav2Vec2ForCTC(config), {"input_values": normal(1, 400)})


@architecture("Keyword spotting")
def keywords():
    """Separable convolutions over a spectrogram (DS-CNN, Zhang et al. 2017)."""

    def separable(width):
        depthwise = [nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width), nn.ReLU()]
        return [*depthwise, nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU()]

    stem = [nn.Conv2d(1, 16, (10, 4), stride=(2, 2), padding=(5, 1)), nn.BatchNorm2d(16), nn.ReLU()]
    network = nn.Sequential(*stem, *separable(16), *separable(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 12))
    return Torch(network, {"spectrogram": normal(1, 1, 49, 10)})
