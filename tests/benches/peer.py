"""The jobs of the bench `peer` in PyTorch (eager), JAX (jitted) and auto_LiRPA, written as a user would write them.

Reads lines `FRAMEWORK JOB SECONDS` on stdin, repeats the job for about so long, and answers with the seconds that one
repetition took in the middle (median) and, where a job finds a number, that number. Both sides of a comparison get the
same number of threads.
"""

import json
import os
import sys
import time
from statistics import NormalDist

THREADS = int(os.environ.get("VAECERT_BENCH_THREADS", "2"))
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={THREADS}"
os.environ["OMP_NUM_THREADS"] = str(THREADS)

import numpy as np

X, H, Z, BATCH, ATTACK, DRAWS = 784, 400, 20, 512, 64, 10_000
SHAPES = {
    "trunk.0": (H, X), "mean": (Z, H), "std": (Z, H),
    "decoder.0": (H, Z), "decoder.1": (H, H), "decoder.2": (X, H),
}
random = np.random.default_rng(0)


def parameters():
    made = {}
    for name, (out, width) in SHAPES.items():
        bound = 1 / np.sqrt(width)
        made[name] = (random.uniform(-bound, bound, (out, width)).astype("f"), random.uniform(-bound, bound, out).astype("f"))
    return made


def trained():
    """The weights of the audited model, a safetensors file."""
    with open(os.path.join(sys.argv[1], "model.safetensors"), "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        values = file.read()

    def tensor(name):
        begin, end = header[name]["data_offsets"]
        return np.frombuffer(values[begin:end], "<f4").reshape(header[name]["shape"]).copy()
    names = {"trunk.0": "encoder.trunk.0", "mean": "encoder.mean.0", "std": "encoder.std.0"}
    return {n: (tensor(names.get(n, n) + ".weight"), tensor(names.get(n, n) + ".bias")) for n in SHAPES}


def images(rows, width=X):
    return np.minimum(np.abs(random.standard_normal((rows, width))), 1).astype("f")


class Torch:
    def __init__(self):
        import torch
        self.torch = torch
        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
        self.weights = {n: (torch.tensor(w), torch.tensor(b)) for n, (w, b) in parameters().items()}
        self.x = torch.tensor(images(BATCH))
        self.one = torch.tensor(images(1))

    def encode(self, p, x):
        f, relu = self.torch.nn.functional.linear, self.torch.relu
        h = relu(f(x, *p["trunk.0"]))
        return f(h, *p["mean"]), self.torch.exp(0.5 * f(h, *p["std"]))

    def logits(self, p, z):
        f, relu = self.torch.nn.functional.linear, self.torch.relu
        return f(relu(f(relu(f(z, *p["decoder.0"])), *p["decoder.1"])), *p["decoder.2"])

    def training(self):
        torch = self.torch
        p = {n: (w.clone().requires_grad_(), b.clone().requires_grad_()) for n, (w, b) in self.weights.items()}
        adam = torch.optim.Adam([t for pair in p.values() for t in pair], lr=1e-3)

        def step():
            batch = self.x[torch.randperm(BATCH)]
            mean, std = self.encode(p, batch)
            logits = self.logits(p, mean + std * torch.randn_like(std))
            reconstruction = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch, reduction="sum")
            divergence = (0.5 * (mean**2 + std**2 - 1) - torch.log(std)).sum()
            loss = (reconstruction + divergence) / BATCH
            adam.zero_grad()
            loss.backward()
            adam.step()
        return step

    def attack(self):
        torch, p = self.torch, self.weights
        with torch.no_grad():
            mean, std = self.encode(p, self.one)
            clean = torch.sigmoid(self.logits(p, mean))
        delta = 0.1 * torch.randn(ATTACK, X)
        noise = torch.randn(ATTACK, Z)

        def step():
            d = delta.clone().requires_grad_()
            attacked = torch.sigmoid(self.logits(p, self.encode(p, self.one + d)[0] + std * noise))
            (attacked - clean).norm(dim=1).sum().backward()
            return d.grad
        return step

    def decodes(self):
        torch, p = self.torch, self.weights

        def run():
            with torch.no_grad():
                mean, std = self.encode(p, self.one)
                clean = torch.sigmoid(self.logits(p, mean))
                return (torch.sigmoid(self.logits(p, mean + std * torch.randn(DRAWS, Z))) - clean).norm(dim=1)
        return run

    def jacobian(self):
        torch = self.torch
        p = {n: (w.double(), b.double()) for n, (w, b) in self.weights.items()}
        x = self.one.double()
        mean = torch.func.jacrev(lambda x: self.encode(p, x)[0].squeeze(0))
        return lambda: mean(x)

    def audit(self):
        """The paper's algorithms 1 and 2 at one input, with bisection: r, then the margin to 0.1. Every draw of the code is
        attacked on its own, with its own restarts; all draws of a restart in one batch."""
        return self.bisection(attacked_together=1)

    def audit_of_all_draws(self):
        """The same with one perturbation for all draws, of which 16 steer the attack and 1,000 decide."""
        return self.bisection(attacked_together=16)

    def audited(self):
        """The trained model and the input that is audited."""
        p = {n: tuple(self.torch.tensor(t) for t in pair) for n, pair in trained().items()}
        return p, self.torch.tensor(np.fromfile(os.path.join(sys.argv[1], "input.f32"), "<f4"))[None]

    def bisection(self, attacked_together):
        torch = self.torch
        p, one = self.audited()
        draws, restarts, steps, width = 1000, 5, 50, 0.1
        with torch.no_grad():
            mean, std = self.encode(p, one)
            clean = torch.sigmoid(self.logits(p, mean))

        def distances(delta, noise):
            attacked = torch.sigmoid(self.logits(p, self.encode(p, one + delta)[0] + std * noise))
            return (attacked - clean).norm(dim=1)

        def attacked(norm, noise, rows):
            delta = torch.randn(rows, X)
            delta *= norm / delta.norm(dim=1, keepdim=True)
            for step in range(steps):
                delta.requires_grad_()
                gradient, = torch.autograd.grad(distances(delta, noise).sum(), delta)
                length = norm * (0.5 - 0.48 * step / (steps - 1)) / gradient.norm(dim=1, keepdim=True)
                delta = delta.detach() + length * gradient
                delta *= (norm / delta.norm(dim=1, keepdim=True)).clamp(max=1)
            return delta

        def breaks(norm, r):
            outside = torch.zeros(draws, dtype=torch.bool)
            noise = torch.randn(draws, Z)
            for _ in range(restarts):
                if attacked_together == 1:
                    delta = attacked(norm, noise, draws)
                else:
                    delta = attacked(norm, torch.randn(attacked_together, Z), 1)
                    outside.zero_()
                with torch.no_grad():
                    outside |= distances(delta, noise) > r
                if outside.float().mean() >= 0.5:
                    return True
            return False

        def run():
            with torch.no_grad():
                r = distances(torch.zeros(1, X), torch.randn(draws, Z)).quantile(0.9)
            low, high = 0.0, 10.0
            while high - low > width:
                norm = 0.5 * (low + high)
                low, high = (low, norm) if breaks(norm, r) else (norm, high)
            return high
        return run

    def convolutions(self):
        torch = self.torch
        c, t, l = torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear
        r = torch.nn.ReLU
        encoder = torch.nn.Sequential(c(1, 32, 4, 2, 1), r(), c(32, 64, 4, 2, 1), r(), torch.nn.Flatten(), l(3136, 16))
        decoder = torch.nn.Sequential(
            l(16, 3136), r(), torch.nn.Unflatten(1, (64, 7, 7)), t(64, 32, 4, 2, 1), r(), t(32, 1, 4, 2, 1), torch.nn.Sigmoid())
        for q in [*encoder.parameters(), *decoder.parameters()]:
            q.requires_grad_(False)
        return encoder, decoder

    def convolution_gradient(self):
        torch = self.torch
        encoder, decoder = self.convolutions()
        x = torch.tensor(images(ATTACK)).view(ATTACK, 1, 28, 28)
        clean = decoder(encoder(x))

        def step():
            d = (0.9 * x).requires_grad_()
            (decoder(encoder(d)) - clean).flatten(1).norm(dim=1).sum().backward()
            return d.grad
        return step

    def convolution_decodes(self):
        torch = self.torch
        decoder = self.convolutions()[1]

        def run():
            with torch.no_grad():
                return decoder(torch.randn(1000, 16))
        return run


class AutoLirpa(Torch):
    def certificate(self):
        """The largest norm, to 0.5 %, up to which CROWN proves that the code, in standard deviations, moves by less than what
        separates a probability of 0.89 from one half; each coordinate bounded on its own."""
        from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm
        torch = self.torch
        p, one = self.audited()
        with torch.no_grad():
            std = self.encode(p, one)[1][0]
            layers = p["trunk.0"], (p["mean"][0] / std[:, None], p["mean"][1] / std)
            net = torch.nn.Sequential(torch.nn.Linear(X, H), torch.nn.ReLU(), torch.nn.Linear(H, Z))
            for linear, (weight, bias) in zip((net[0], net[2]), layers):
                linear.weight.copy_(weight)
                linear.bias.copy_(bias)
            clean, bounded = net(one), BoundedModule(net, one)
            allowed = NormalDist().inv_cdf(0.89)

        def moved(norm):
            ball = BoundedTensor(one, PerturbationLpNorm(norm=2, eps=norm))
            low, high = bounded.compute_bounds((ball,), method="CROWN")
            return torch.maximum(high - clean, clean - low).norm().item()

        def run():
            with torch.no_grad():
                jacobian = layers[1][0] * (net[0](one) > 0) @ layers[0][0]
                low, high = 0.0, allowed / torch.linalg.matrix_norm(jacobian, 2).item()
                while high > 1.005 * low:
                    norm = 0.5 * (low + high)
                    low, high = (norm, high) if moved(norm) < allowed else (low, norm)
                return low
        return run


class Jax:
    def __init__(self):
        import jax
        jax.config.update("jax_enable_x64", True)
        self.jax, self.np = jax, jax.numpy
        self.weights = {n: (jax.numpy.asarray(w), jax.numpy.asarray(b)) for n, (w, b) in parameters().items()}
        self.x, self.one = jax.numpy.asarray(images(BATCH)), jax.numpy.asarray(images(1))

    def linear(self, x, layer):
        return x @ layer[0].T + layer[1]

    def encode(self, p, x):
        h = self.jax.nn.relu(self.linear(x, p["trunk.0"]))
        return self.linear(h, p["mean"]), self.np.exp(0.5 * self.linear(h, p["std"]))

    def logits(self, p, z):
        relu = self.jax.nn.relu
        return self.linear(relu(self.linear(relu(self.linear(z, p["decoder.0"])), p["decoder.1"])), p["decoder.2"])

    def training(self):
        jax, jnp = self.jax, self.np

        def loss(p, x, key):
            mean, std = self.encode(p, x)
            logits = self.logits(p, mean + std * jax.random.normal(key, std.shape, dtype="f"))
            reconstruction = (jnp.logaddexp(0, logits) - logits * x).sum()
            return (reconstruction + (0.5 * (mean**2 + std**2 - 1) - jnp.log(std)).sum()) / BATCH

        @jax.jit
        def update(p, m, v, t, x, key):
            order, noise = jax.random.split(key)
            g = jax.grad(loss)(p, x[jax.random.permutation(order, BATCH)], noise)
            tree = jax.tree_util.tree_map
            m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            a, b = 1 / (1 - 0.9**t), 1 / (1 - 0.999**t)
            p = tree(lambda p, m, v: p - 1e-3 * a * m / (jnp.sqrt(b * v) + 1e-8), p, m, v)
            return p, m, v
        zeros = jax.tree_util.tree_map(jnp.zeros_like, self.weights)
        state = {"now": (self.weights, zeros, zeros), "t": 0}

        def step():
            state["t"] += 1
            key = jax.random.PRNGKey(state["t"])
            state["now"] = update(*state["now"], np.float32(state["t"]), self.x, key)
            jax.block_until_ready(state["now"])
        return step

    def attack(self):
        jax, jnp, p = self.jax, self.np, self.weights
        mean, std = self.encode(p, self.one)
        clean = jax.nn.sigmoid(self.logits(p, mean))
        delta = jnp.asarray(0.1 * random.standard_normal((ATTACK, X)), dtype="f")
        noise = jnp.asarray(random.standard_normal((ATTACK, Z)), dtype="f")

        def damage(d):
            attacked = jax.nn.sigmoid(self.logits(p, self.encode(p, self.one + d)[0] + std * noise))
            return jnp.linalg.norm(attacked - clean, axis=1).sum()
        gradient = jax.jit(jax.grad(damage))
        return lambda: jax.block_until_ready(gradient(delta))

    def decodes(self):
        jax, jnp, p = self.jax, self.np, self.weights

        @jax.jit
        def run(x, key):
            mean, std = self.encode(p, x)
            clean = jax.nn.sigmoid(self.logits(p, mean))
            z = mean + std * jax.random.normal(key, (DRAWS, Z), dtype="f")
            return jnp.linalg.norm(jax.nn.sigmoid(self.logits(p, z)) - clean, axis=1)
        key = jax.random.PRNGKey(1)
        return lambda: jax.block_until_ready(run(self.one, key))

    def jacobian(self):
        jax = self.jax
        p = {n: (w.astype("d"), b.astype("d")) for n, (w, b) in self.weights.items()}
        run = jax.jit(jax.jacrev(lambda x: self.encode(p, x)[0][0]))
        x = self.one.astype("d")
        return lambda: jax.block_until_ready(run(x))


def main():
    frameworks = {"torch": Torch, "jax": Jax, "auto_LiRPA": AutoLirpa}
    made, jobs = {}, {}
    for line in sys.stdin:
        framework, job, seconds = line.split()
        try:
            if framework not in made:
                made[framework] = frameworks[framework]()
            if job not in vars(frameworks[framework]):
                raise AttributeError(job)
            if (framework, job) not in jobs:
                jobs[framework, job] = getattr(made[framework], job)()
                for _ in range(3):
                    jobs[framework, job]()
        except (ImportError, AttributeError, ValueError) as error:
            print("absent", type(error).__name__, flush=True)
            continue
        times, end = [], time.perf_counter() + float(seconds)
        while time.perf_counter() < end or len(times) < 3:
            begin = time.perf_counter()
            found = jobs[framework, job]()
            times.append(time.perf_counter() - begin)
        print(sorted(times)[len(times) // 2], found if isinstance(found, float) else "", flush=True)


main()
