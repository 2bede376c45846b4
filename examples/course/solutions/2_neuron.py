# %% [markdown]
# # 2. One neuron
#
# **Aims.** You write a leaky integrate-and-fire neuron as a loop over time. You can say which
# current makes it fire, how often it fires, and what its leak and its reset do.
#
# **Time**: 45 minutes. **Read before**: *The leaky neuron* in the guide.

# %%
import torch
from checks import check, report
from matplotlib.figure import Figure

# %% [markdown]
# ## The membrane
#
# A neuron remembers one number, its membrane $U$. At each timestep it keeps the share $\beta$ of
# it and adds the current $I$. If the membrane is above the threshold $\theta$, the neuron fires.
# One timestep after a spike, the threshold is subtracted:
#
# $$U[t] = \beta\, U[t-1] + I[t] - \theta\, S[t-1], \qquad S[t] = 1 \text{ if } U[t] > \theta
# \text{ else } 0$$
#
# **Write the loop.** The currents are a tensor `[T, N]` of `T` timesteps and `N` neurons. At first
# no neuron has a membrane or has fired.


# %%
def neuron(current, beta, threshold):
    """Return the spikes and the membranes of leaky neurons, two tensors [T, N]."""
    # BEGIN SOLUTION
    membrane = spike = torch.zeros_like(current[0])
    spikes, membranes = [], []
    for inflow in current:
        membrane = beta * membrane + inflow - threshold * spike
        spike = (membrane > threshold).float()
        spikes.append(spike)
        membranes.append(membrane)
    return torch.stack(spikes), torch.stack(membranes)
    # END SOLUTION


neuron = check(neuron)

# %%
report("neuron")
