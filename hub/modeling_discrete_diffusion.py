"""Discrete diffusion and autoregressive language models on one transformer, from torch and
transformers alone.

Ids 0 to N - 1 are tokens, N = config.mask_token_id is the mask. Times are from 0, the text, to 1,
noise. `model(ids, t).logits` are the outputs of the network, `model.predict(ids, t)` what the
algorithm takes them for, `model.generate(...)` draws texts."""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput, MaskedLMOutput

EPSILON, WAVES, PERIOD = 1e-5, 256, 10000.0
NUMBERS = 2**24  # of logits that are held at once while texts are drawn
MASKING = ("mdlm", "d3pm", "sedd")  # noise that only masks
SCORES = ("sedd", "sedd_uniform")  # outputs that are ratios of probabilities
Draw = Callable[..., Tensor]  # (sizes) -> uniform numbers in [0, 1), float64


class DiscreteDiffusionConfig(PretrainedConfig):
    """`algo` has the name of the algorithm and its settings, `noise` its schedule; `vocab_size`
    counts the mask, `outputs` are those of the head: N, or N + 1 where the mask is among them."""

    model_type = "discrete_diffusion"
    attribute_map = {  # noqa: RUF012
        "max_position_embeddings": "length",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_blocks",
    }

    def __init__(
        self,
        algo: dict[str, Any] | None = None,
        noise: dict[str, Any] | None = None,
        vocab_size: int = 258,
        outputs: int | None = None,
        hidden_size: int = 128,
        cond_dim: int = 128,
        length: int = 128,
        n_blocks: int = 4,
        n_heads: int = 4,
        bos_token_id: int | None = None,
        eos_token_id: int | None = None,
        pad_token_id: int | None = None,
        framing: str | None = "bos",
        trained: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.algo = {"name": "mdlm"} if algo is None else algo
        self.noise = {"name": "log-linear", "eps": 1e-3} if noise is None else noise
        self.vocab_size = vocab_size
        self.outputs = vocab_size - 1 if outputs is None else outputs
        self.hidden_size, self.cond_dim, self.length = hidden_size, cond_dim, length
        self.n_blocks, self.n_heads = n_blocks, n_heads
        self.bos_token_id, self.eos_token_id = bos_token_id, eos_token_id
        self.pad_token_id = pad_token_id
        self.mask_token_id = vocab_size - 1
        self.framing = framing
        self.trained = {} if trained is None else trained


class AutoregressiveConfig(DiscreteDiffusionConfig):
    """The same, of a class of its own: transformers keeps one model class for each class of
    configurations, so that the next export in a process would be read as the one before."""

    def __init__(self, **fields: Any) -> None:  # transformers makes one for a class without
        super().__init__(**fields)


class Norm(nn.Module):
    """weight * (x - mean) / sqrt(var + 1e-5), then * (1 + scale) + shift, in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(
        self, x: Tensor, shift: Tensor | None = None, scale: Tensor | None = None
    ) -> Tensor:
        weight = self.weight.float()
        if shift is None or scale is None:
            return F.layer_norm(x.float(), weight.shape, weight, eps=EPSILON).to(x.dtype)
        unit = F.layer_norm(x.float(), weight.shape, eps=EPSILON)
        return torch.addcmul(shift.float(), unit, weight * (1 + scale.float())).to(x.dtype)


class LevelEmbedding(nn.Module):
    """SiLU(MLP([cos(level f), sin(level f)])), f_i = 10000 ** (-i / 128), i < 128."""

    def __init__(self, cond_dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(WAVES, cond_dim), nn.SiLU(), nn.Linear(cond_dim, cond_dim)
        )

    def forward(self, level: Tensor) -> Tensor:
        """(B,) or (B, L) -> (..., cond_dim)."""
        half = WAVES // 2
        index = torch.arange(half, dtype=torch.float32, device=level.device)
        angles = level.float().unsqueeze(-1) * torch.exp(index * (-math.log(PERIOD) / half))
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return F.silu(self.mlp(waves.to(next(self.mlp.parameters()).dtype)))


@lru_cache(maxsize=4)
def rotary_table(length: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines (length, 1, width) of position * 10000 ** (-2 i / width)."""
    rates = PERIOD ** (-torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width)
    angles = torch.outer(torch.arange(length, dtype=torch.float64, device="cpu"), rates)
    cos = torch.cat([angles.cos(), angles.cos()], dim=-1)
    sin = torch.cat([-angles.sin(), angles.sin()], dim=-1)
    return cos.float().unsqueeze(1).to(device), sin.float().unsqueeze(1).to(device)


class SelfAttention(nn.Module):
    """Multi-head attention with rotated queries and keys; `causal` sees no later position."""

    def __init__(self, hidden_size: int, n_heads: int, causal: bool) -> None:
        super().__init__()
        self.n_heads, self.causal = n_heads, causal
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], past: list[Tensor] | None
    ) -> Tensor:
        """(B, L, D) -> (B, L, D); `past` has the keys and values of earlier positions, if any, and
        afterwards these too."""
        qkv = self.qkv(x).view(*x.shape[:2], 3 * self.n_heads, -1)
        both, v = qkv.split((2 * self.n_heads, self.n_heads), dim=2)
        turned = torch.addcmul(both * rotary[0], both.roll(both.shape[-1] // 2, -1), rotary[1])
        q, k = turned.to(x.dtype).chunk(2, dim=2)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if past is not None:
            if past:
                k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
            past[:] = k, v
        new, all_keys = q.shape[2], k.shape[2]
        seen = None
        if self.causal and 1 < new < all_keys:  # behind others that are kept
            seen = torch.ones(new, all_keys, dtype=torch.bool, device=q.device)
            seen = seen.tril(all_keys - new)
        causal = self.causal and new == all_keys
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """x + gate * attention(norm(x)), then the same with an MLP of width 4 D; without levels the
    gates are one."""

    def __init__(self, config: DiscreteDiffusionConfig, causal: bool) -> None:
        super().__init__()
        width = config.hidden_size
        self.norm_attention = Norm(width)
        self.attention = SelfAttention(width, config.n_heads, causal)
        self.norm_mlp = Norm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.modulation = None if causal else nn.Linear(config.cond_dim, 6 * width)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        condition: Tensor | None,
        past: list[Tensor] | None = None,
    ) -> Tensor:
        if self.modulation is None or condition is None:
            x = x + self.attention(self.norm_attention(x), rotary, past)
            return x + self.mlp(self.norm_mlp(x))
        parts = self.modulation(condition).chunk(6, dim=-1)
        branch = self.attention(self.norm_attention(x, *parts[:2]), rotary, past)
        x = torch.addcmul(x, parts[2].to(x.dtype), branch)
        branch = self.mlp(self.norm_mlp(x, *parts[3:5]))
        return torch.addcmul(x, parts[5].to(x.dtype), branch)


class Network(nn.Module):
    """Tokens (B, L) to hidden states (B, L, D), and with `head` to outputs."""

    def __init__(self, config: DiscreteDiffusionConfig, causal: bool) -> None:
        super().__init__()
        self.length, self.head_width = config.length, config.hidden_size // config.n_heads
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.level = None if causal else LevelEmbedding(config.cond_dim)
        self.blocks = nn.ModuleList(Block(config, causal) for _ in range(config.n_blocks))
        self.norm = Norm(config.hidden_size)
        self.modulation = None if causal else nn.Linear(config.cond_dim, 2 * config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.outputs)

    def forward(
        self, tokens: Tensor, level: Tensor | None = None, past: list[list[Tensor]] | None = None
    ) -> Tensor:
        """Of tokens that follow those of `past`, a list of keys and values for each block."""
        start = past[0][0].shape[2] if past and past[0] else 0
        end = start + tokens.shape[1]
        if end > self.length:
            raise ValueError(f"{end} tokens: the model reads at most {self.length}")
        x = self.embedding(tokens)
        cos, sin = rotary_table(self.length, self.head_width, x.device)
        condition = None
        if self.level is not None:
            level = torch.zeros(1, device=x.device) if level is None else level
            condition = self.level(level)
            condition = condition.unsqueeze(1) if condition.dim() == 2 else condition
        for number, block in enumerate(self.blocks):
            memory = None if past is None else past[number]
            x = block(x, (cos[start:end], sin[start:end]), condition, memory)
        if self.modulation is None or condition is None:
            return self.norm(x)
        return self.norm(x, *self.modulation(condition).chunk(2, dim=-1))


class Mix(NamedTuple):
    """q_t(z | x) = keep [z = x] + mask [z = MASK] + noise / N [z is a token], float64."""

    keep: Tensor
    mask: Tensor
    noise: Tensor


def alpha(noise: dict[str, Any], t: Tensor) -> Tensor:
    """The share of tokens that a schedule keeps at times t."""
    if noise["name"] == "log-linear":
        return 1 - (1 - noise["eps"]) * t
    if noise["name"] == "cosine":
        return 1 - torch.cos(math.pi / 2 * (1 - (1 - noise["eps"]) * t))
    return torch.exp(-(noise["sigma_min"] ** (1 - t)) * noise["sigma_max"] ** t)  # geometric


def gidd_mix(algo: dict[str, Any], t: Tensor, tokens: int) -> Mix:
    """GIDD's mixture: c of all tokens together in version 1.1, of each in version 1.0."""
    p = algo["p_uniform"]
    if algo["version"] == "1.1":
        c = 2 * p / (1 - p) * (t * (1 - t)).sqrt()
        return Mix((1 - t) / (1 + c), t / (1 + c), c / (1 + c))
    rate = max(p / (p + (1 - p) * (tokens + 1) / 2), math.exp(-20))
    t = t / (1 + rate**2)  # nothing is kept from there on
    c = rate * (t * (1 - t)).sqrt()
    total = 1 + (tokens - 1) * c
    return Mix((1 - t - c).clamp_min(0) / total, t / total, tokens * c / total)


class LanguageModel(PreTrainedModel):
    """A network under the name `backbone`, and what the two kinds of models share."""

    config_class: type[DiscreteDiffusionConfig] = DiscreteDiffusionConfig
    base_model_prefix = "backbone"
    _supports_sdpa = True
    causal = False

    def __init__(self, config: DiscreteDiffusionConfig) -> None:
        super().__init__(config)
        self.backbone = Network(config, self.causal)
        self.post_init()

    def start(self, input_ids: Tensor | None, num_samples: int, length: int | None) -> Tensor:
        """`input_ids` (B, L), or `num_samples` texts of masks that begin as those of training
        did."""
        config = self.config
        if input_ids is not None:
            if input_ids.dim() != 2 or input_ids.shape[1] > config.length:
                shape = tuple(input_ids.shape)
                raise ValueError(f"input_ids of shape {shape}: (B, L), L at most {config.length}")
            if int(input_ids.min()) < 0 or int(input_ids.max()) > config.mask_token_id:
                raise ValueError(f"input_ids: must be from 0 to {config.mask_token_id}, the mask")
            return input_ids.to(self.device)
        length = config.length if length is None else length
        if not 2 <= length <= config.length:
            raise ValueError(f"length={length}: from 2 to {config.length}")
        tokens = torch.full((num_samples, length), config.mask_token_id, device=self.device)
        if config.framing != "none":
            tokens[:, 0] = config.bos_token_id
        return tokens

    def uniforms(self, seed: int | None) -> Draw:
        """Random numbers that `seed` alone decides; without it torch's own generator does."""
        generator = None
        if seed is not None:
            generator = torch.Generator(self.device).manual_seed(seed)

        def draw(*sizes: int) -> Tensor:
            return torch.rand(sizes, dtype=torch.float64, device=self.device, generator=generator)

        return draw

    def by_rows(self, fn: Callable[..., Tensor], hidden: Tensor, *columns: Tensor) -> Tensor:
        """fn(outputs (n, V), *columns (n,)), some of the hidden states (N, D) at a time."""
        size = max(1, NUMBERS // self.config.outputs)
        parts = zip(*(column.split(size) for column in (hidden, *columns)), strict=True)
        return torch.cat([fn(self.backbone.head(rows).float(), *rest) for rows, *rest in parts])


def check(steps: int, temperature: float) -> None:
    if steps < 1:
        raise ValueError(f"steps={steps}: at least 1")
    if not temperature > 0:
        raise ValueError(f"temperature={temperature}: above 0")


def check_attention(mask: Tensor | None) -> None:
    if mask is not None and not bool(mask.all()):
        raise ValueError("attention_mask: the model knows no padding, every token is read")


def drawn(weights: Tensor, uniform: Tensor) -> Tensor:
    """Tokens (n,) in proportion to weights (n, V), by inversion with uniform numbers (n,)."""
    sums = weights.double().cumsum(-1)
    target = uniform.unsqueeze(-1) * sums[:, -1:]
    target = torch.minimum(target, torch.nextafter(sums[:, -1:], torch.zeros_like(target)))
    return torch.searchsorted(sums, target, right=True).squeeze(-1)


def sampled(outputs: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """Tokens (n,) ~ softmax(outputs / temperature) of outputs (n, V)."""
    outputs = outputs / temperature
    return drawn((outputs - outputs.amax(-1, keepdim=True)).exp(), uniform)


class DiffusionLM(LanguageModel):
    """Predicts the clean text from a noisy one, all positions at once."""

    @property
    def name(self) -> str:
        return self.config.algo["name"]

    def mix(self, t: Tensor) -> Mix:
        """The mixture that noise makes of a text at times t, float64: all at 0, nothing at 1
        (SEDD's uniform noise ends with a little)."""
        t, tokens = t.double(), self.config.mask_token_id
        if self.name == "gidd":
            return gidd_mix(self.config.algo, t, tokens)
        keep = alpha(self.config.noise, t)
        first, last = (alpha(self.config.noise, t.new_tensor(end)) for end in (0.0, 1.0))
        keep = keep / first if self.name == "sedd_uniform" else (keep - last) / (first - last)
        none = torch.zeros_like(keep)
        return Mix(keep, 1 - keep, none) if self.name in MASKING else Mix(keep, none, 1 - keep)

    def hidden(self, tokens: Tensor, t: Tensor | float | None) -> Tensor:
        """Hidden states of noisy tokens (B, L) at times t: one number, (B,) or (B, L)."""
        if self.name == "mdlm" and not self.config.algo.get("time_conditioning"):
            return self.backbone(tokens)
        if t is None:
            raise ValueError(f"t: {self.name} is told the time, from 0 (the text) to 1 (noise)")
        t = torch.as_tensor(t, dtype=torch.float64, device=tokens.device)
        t = t.expand(len(tokens)) if t.dim() == 0 else t
        level = t if self.name == "gidd" else -alpha(self.config.noise, t).log()
        return self.backbone(tokens, level)

    def forward(
        self,
        input_ids: Tensor,
        t: Tensor | float | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> MaskedLMOutput:
        """Outputs (B, L, V) of the network at times t: one number, (B,) or (B, L); None where it is
        not told the time."""
        check_attention(attention_mask)
        return MaskedLMOutput(logits=self.backbone.head(self.hidden(input_ids, t)))

    def predict(self, input_ids: Tensor, t: Tensor | float) -> Tensor:
        """(B, L, V) log p of the clean token at every position; of SEDD log scores,
        log q_t(y) / q_t(z). Where noise only masks, a token that stands is certain."""
        outputs = self(input_ids, t).logits.float()
        token = input_ids.unsqueeze(-1)
        if self.name == "sedd_uniform":
            return outputs.scatter(-1, token, 0.0)
        if self.name == "sedd":
            mix = self.mix(torch.as_tensor(t, device=outputs.device))
            shift = (mix.keep / mix.mask).log() - math.log(self.config.mask_token_id)
            log_p = outputs + shift.view(-1, *(1,) * (3 - max(shift.dim(), 1))).float()
        else:
            log_p = outputs.log_softmax(-1)
        if self.name not in ("mdlm", "sedd"):
            return log_p
        masked = token == self.config.mask_token_id
        known = torch.arange(self.config.outputs, device=token.device) == token
        return torch.where(masked, log_p, known.to(log_p.dtype).log())

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor | None = None,
        num_samples: int = 1,
        length: int | None = None,
        steps: int = 128,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Tensor:
        """Texts (B, L): masks of `input_ids` (B, L) are replaced, all other tokens stay; without it
        `num_samples` new texts. `steps` of ancestral sampling (SEDD's analytic ones), the same for
        the same seed."""
        check(steps, temperature)
        if self.name == "sedd_uniform" and temperature != 1:
            raise ValueError(f"temperature={temperature}: {self.name} predicts ratios, it has none")
        tokens, rand = self.start(input_ids, num_samples, length), self.uniforms(seed)
        free = tokens == self.config.mask_token_id
        end = self.mix(torch.ones(1, device=self.device))
        masked = rand(*tokens.shape) * (end.mask + end.noise) < end.mask
        noise = (rand(*tokens.shape) * self.config.mask_token_id).long()
        z = torch.where(free & ~masked, noise, tokens)
        step = {"sedd": self.unmask, "sedd_uniform": self.move}.get(self.name, self.posterior)
        grid = torch.linspace(1, 0, steps + 1, dtype=torch.float64, device=self.device)
        for t, s in pairwise(grid):
            if self.name not in MASKING or bool((z == self.config.mask_token_id).any()):
                z = torch.where(free, step(z, t, s, rand, temperature), z)
        return z

    def posterior(self, z: Tensor, t: Tensor, s: Tensor, rand: Draw, temperature: float) -> Tensor:
        """z_s ~ q(z_s | z_t, p) = (1 - r) [z_s = z_t] + r q_s(z_s | p), p the prediction,
        r = (b_t - keep_t / keep_s b_s)(z) / (keep_t p(z) + b_t(z)), b(z) the mass of the noise."""
        tokens, last = self.config.mask_token_id, bool(s == 0)
        now, then, hidden = self.mix(t), self.mix(s), self.hidden(z, t)
        masked = z == tokens
        b = torch.where(masked, now.mask, now.noise / tokens)
        gained = b - now.keep / then.keep * torch.where(masked, then.mask, then.noise / tokens)
        asked = ~masked & (now.noise > 0)
        if self.config.outputs > tokens and not last:
            asked |= masked
        jump, coin = rand(*z.shape), rand(*z.shape)
        asked &= jump < gained / b  # r is the smaller the more mass there is: others stay

        def mass(outputs: Tensor, token: Tensor) -> Tensor:
            log_p = (outputs / temperature).log_softmax(-1)
            return log_p.gather(-1, token.unsqueeze(-1)).squeeze(-1).double().exp()

        own = torch.zeros_like(b)
        own[asked] = self.by_rows(mass, hidden[asked], z[asked])
        rho = torch.where(gained > 0, gained / (now.keep * own + b), 0.0)
        jumps = jump < rho
        other = (rand(*z.shape) * tokens).long()
        other = torch.where(coin < then.keep + then.mask, tokens, other)
        where = jumps & (coin < then.keep)
        among = tokens if last else None
        other[where] = self.draw(hidden[where], rand, temperature, among)
        return torch.where(jumps, other, z)

    def draw(
        self, hidden: Tensor, rand: Draw, temperature: float, among: int | None = None
    ) -> Tensor:
        """Tokens (n,) ~ softmax(outputs / temperature) of hidden states (n, D), `among` the first
        so many."""

        def fn(outputs: Tensor, uniform: Tensor) -> Tensor:
            return sampled(outputs[:, :among], temperature, uniform)

        return self.by_rows(fn, hidden, rand(len(hidden)))

    def unmask(self, z: Tensor, t: Tensor, s: Tensor, rand: Draw, temperature: float) -> Tensor:
        """SEDD, masks: one is gone with the chance S (keep_s - keep_t) / mask_t, S the sum of the
        unnormalised probabilities exp(outputs) / N; at the end all are."""
        now, then, hidden = self.mix(t), self.mix(s), self.hidden(z, t)
        where = z == self.config.mask_token_id
        if bool(s > 0):
            total = self.by_rows(lambda outputs: outputs.exp().mean(-1), hidden[where]).double()
            chance = total * (then.keep - now.keep) / now.mask
            where[where.clone()] = rand(len(chance)) < chance
        z = z.clone()
        z[where] = self.draw(hidden[where], rand, temperature)
        return z

    def move(self, z: Tensor, t: Tensor, s: Tensor, rand: Draw, temperature: float) -> Tensor:
        """SEDD, uniform noise: from (exp(-dsigma Q) s)_y exp(dsigma Q)(y, z), e = exp(-dsigma)."""
        size = self.config.mask_token_id
        e = self.mix(t).keep / self.mix(s).keep

        def fn(outputs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
            score = outputs.double().scatter(-1, token.unsqueeze(-1), 0.0).exp()
            weights = (score - score.sum(-1, keepdim=True) * (1 - e) / size).clamp_min(0)
            own = weights.gather(-1, token.unsqueeze(-1)) * (1 + e / (1 - e) * size)
            return drawn(weights.scatter(-1, token.unsqueeze(-1), own), uniform)

        flat = z.flatten()
        hidden = self.hidden(z, t).flatten(0, 1)
        return self.by_rows(fn, hidden, flat, rand(len(flat))).view_as(z)


class AutoregressiveLM(LanguageModel):
    """Predicts each token from those before it."""

    config_class = AutoregressiveConfig
    causal = True

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> CausalLMOutput:
        """Outputs (B, L, N): of the token that follows each position."""
        check_attention(attention_mask)
        return CausalLMOutput(logits=self.backbone.head(self.backbone(input_ids)))

    def predict(self, input_ids: Tensor) -> Tensor:
        """(B, L, N) log p of the token that follows each position."""
        return self(input_ids).logits.float().log_softmax(-1)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor | None = None,
        num_samples: int = 1,
        length: int | None = None,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Tensor:
        """Texts (B, L) of `length` tokens that begin with `input_ids` (B, l); without it
        `num_samples` new ones. Keys and values of earlier tokens are kept."""
        check(1, temperature)
        length = self.config.length if length is None else length
        tokens, rand = self.start(input_ids, num_samples, length), self.uniforms(seed)
        tokens = tokens if input_ids is not None else tokens[:, :1]
        if bool((tokens == self.config.mask_token_id).any()):
            raise ValueError("input_ids: a beginning without masks is needed, one token at least")
        if not tokens.shape[1] <= length <= self.config.length:
            limits = f"from {tokens.shape[1]} to {self.config.length}"
            raise ValueError(f"length={length}: {limits}")
        past: list[list[Tensor]] = [[] for _ in self.backbone.blocks]
        newest = tokens
        while tokens.shape[1] < length:
            outputs = self.backbone.head(self.backbone(newest, past=past)[:, -1]).float()
            newest = sampled(outputs, temperature, rand(len(tokens))).unsqueeze(-1)
            tokens = torch.cat([tokens, newest], 1)
        return tokens
