"""From the hidden states of a batch of texts to one vector for each text.

Padding does not count, on whichever side it is. Sums are made in float32 whatever the model's own
type is: a mean over hundreds of bfloat16 numbers would lose what little precision they have.
"""

import torch


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """[texts, tokens, width] and [texts, tokens] (true: a token) to float32 [texts, width].

    mean: over the tokens. last: the last token's. weighted-mean: the first token counts once, the
    second twice, and so on, since in a causal model later tokens have seen more (SGPT).
    """
    mask = mask.bool()
    if pooling == "last":
        positions = torch.arange(mask.shape[1], device=mask.device)
        last = torch.where(mask, positions, -1).amax(dim=1).clamp(min=0)
        return states[torch.arange(len(states), device=mask.device), last].float()
    weights = mask.float()
    if pooling == "weighted-mean":
        weights = weights * mask.cumsum(dim=1)
    elif pooling != "mean":
        raise ValueError(f"no such pooling: {pooling}")
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
    # Padding may hold anything, NaN too, which no weight of 0 would take away.
    states = states.float().masked_fill(~mask.unsqueeze(-1), 0)
    return torch.bmm(weights.unsqueeze(1), states).squeeze(1)
