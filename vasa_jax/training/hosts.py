"""Jobs of many processes: joining one, and waiting for the others."""

from typing import NamedTuple

import jax

from vasa_jax.config import RunConfig
from vasa_jax.errors import UserError

__all__ = ["Cluster", "cluster_of", "initialise_hosts", "wait_for_all"]

BARRIER_SECONDS = 3600
"""How long processes wait for each other where one may compile while others load from a cache."""


class Cluster(NamedTuple):
    """A job that was started by hand: the address of process 0, and which process this is."""

    coordinator: str
    processes: int
    process_id: int


def cluster_of(
    coordinator: str | None, processes: int | None, process_id: int | None
) -> Cluster | None:
    """The cluster that three options describe; None where none of them is given.

    Raises UserError where some are missing or do not fit together.
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process-id": process_id}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if coordinator is None or processes is None or process_id is None:
        raise UserError(
            f"{', '.join(missing)} missing: a job started by hand needs --coordinator HOST:PORT, "
            "--processes N and, from 0 to N - 1, --process-id I"
        )
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise UserError(f"--coordinator {coordinator!r} is not HOST:PORT")
    if not 0 <= process_id < processes:
        raise UserError(
            f"--process-id {process_id} must be 0 to {processes - 1} with --processes {processes}"
        )
    return Cluster(coordinator, processes, process_id)


def initialise_hosts(config: RunConfig, cluster: Cluster | None = None) -> None:
    """Join a job of many processes if `mesh.distributed` asks for it or `cluster` says which; call
    before any other use of JAX.

    Without `cluster`, JAX finds the job by itself: Slurm (one task a GPU), MPI, Kubernetes'
    JobSets, TPU pods. Raises UserError when no cluster can be found or joined.
    """
    if jax.distributed.is_initialized() or not (config.mesh.distributed or cluster):
        return
    try:
        if cluster is None:
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(cluster.coordinator, cluster.processes, cluster.process_id)
    except (ValueError, RuntimeError) as error:
        what = "found" if cluster is None else f"joined at {cluster.coordinator}"
        raise UserError(
            f"no cluster was {what} ({str(error).strip()[:200]}); start one process a GPU under "
            "Slurm, one a host on a TPU pod, or any by hand with --coordinator, --processes and "
            "--process-id (docs/training.md)"
        ) from None


def wait_for_all(name: str) -> None:
    """Wait until every process of the job is here, through the coordinator and not by a collective:
    those give up within seconds. name: of the place, once a run."""
    if jax.process_count() > 1:
        from orbax.checkpoint import multihost

        wait = multihost.get_barrier_sync_fn()
        wait(key=multihost.unique_barrier_key(name), timeout_ms=1000 * BARRIER_SECONDS)
