"""Language models: transformers' classes, with small configurations."""

import torch
import transformers as hf
from torch import nn

from catalogue import Torch, family, integers, lengths

architecture = family("Language models")
VOCABULARY, LENGTH = 64, 12
TOKENS = {"input_ids": integers(3, VOCABULARY, 1, LENGTH)}
MASKED = TOKENS | {"attention_mask": lengths(1, LENGTH)}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
# Weights as large as trained ones are beside so few channels.
SPREAD = 0.15
ENCODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
    "initializer_range": SPREAD,
    **SPECIAL,
}
DECODER = ENCODER | {"num_key_value_heads": 2, "use_cache": False}


class Output(nn.Module):
    """One output of a model of transformers, whose arguments have names."""

    def __init__(self, model, arguments, output):
        super().__init__()
        self.model, self.arguments, self.output = model, list(arguments), output

    def forward(self, *values):
        return getattr(self.model(**dict(zip(self.arguments, values))), self.output)


def logits(model, inputs, output="logits"):
    return Torch(Output(model, inputs, output), inputs)


@architecture("BERT")
def bert():
    return logits(hf.BertForSequenceClassification(hf.BertConfig(**ENCODER, num_labels=4)), MASKED)


@architecture("GPT-2")
def gpt2():
    sizes = {"vocab_size": VOCABULARY, "n_positions": 32, "n_embd": 32, "n_layer": 2, "n_head": 4}
    config = hf.GPT2Config(**sizes, initializer_range=SPREAD, use_cache=False, **SPECIAL)
    return logits(hf.GPT2LMHeadModel(config), MASKED)


@architecture("Llama")
def llama():
    return logits(hf.LlamaForCausalLM(hf.LlamaConfig(**DECODER)), MASKED)


@architecture("DistilBERT")
def distilbert():
    sizes = {"vocab_size": VOCABULARY, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 32}
    config = hf.DistilBertConfig(**sizes, initializer_range=SPREAD)
    return logits(hf.DistilBertForTokenClassification(config), MASKED)


@architecture("ALBERT")
def albert():
    return logits(hf.AlbertModel(hf.AlbertConfig(**ENCODER, embedding_size=16)), MASKED, "last_hidden_state")


@architecture("RoBERTa")
def roberta():
    return logits(hf.RobertaForSequenceClassification(hf.RobertaConfig(**ENCODER, num_labels=3)), MASKED)


@architecture("T5 encoder")
def t5():
    config = hf.T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, **SPECIAL)
    return logits(hf.T5EncoderModel(config), MASKED, "last_hidden_state")


@architecture("Qwen2")
def qwen():
    return logits(hf.Qwen2ForCausalLM(hf.Qwen2Config(**DECODER)), MASKED)


@architecture("Mistral")
def mistral():
    return logits(hf.MistralForCausalLM(hf.MistralConfig(**DECODER, sliding_window=8)), MASKED)


@architecture("Phi")
def phi():
    return logits(hf.PhiForCausalLM(hf.PhiConfig(**DECODER)), MASKED)


@architecture("Gemma")
def gemma():
    return logits(hf.GemmaForCausalLM(hf.GemmaConfig(**DECODER, head_dim=8)), MASKED)


@architecture("Mamba")
def mamba():
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "state_size": 4, "num_hidden_layers": 2}
    config = hf.MambaConfig(**sizes, use_cache=False, initializer_range=SPREAD, **SPECIAL)
    return logits(hf.MambaForCausalLM(config), {"input_ids": integers(3, VOCABULARY, 1, 6)})
