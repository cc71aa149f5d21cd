"""Tests run on the CPU, in float32 at the highest precision, on eight virtual devices."""

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_default_matmul_precision", "highest")
# The suite compiles hundreds of tiny programs and runs each a few times: LLVM's optimiser took
# half of its time. What it would do to long runs does not matter here; results are the same.
jax.config.update("jax_disable_most_optimizations", True)
