"""docs/cluster.md and the files beside it: commands exist, ports agree, Ray accepts its file."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from pages import DOCS, blocks, console_commands, parse

from odnbench import __version__
from odnbench.cli.app import app

PAGE = (DOCS / "cluster.md").read_text(encoding="utf-8")
AUTOSCALER = yaml.safe_load((DOCS / "cluster" / "autoscaler.yaml").read_text(encoding="utf-8"))
CLAIM, RAYJOB = yaml.safe_load_all((DOCS / "cluster" / "rayjob.yaml").read_text(encoding="utf-8"))
CLUSTER = RAYJOB["spec"]["rayClusterSpec"]
HEAD = CLUSTER["headGroupSpec"]["template"]["spec"]
NODE_PORTS = (
    "node-manager-port", "object-manager-port", "runtime-env-agent-port",
    "dashboard-agent-grpc-port", "dashboard-agent-listen-port", "metrics-export-port",
    "min-worker-port", "max-worker-port",
)  # fmt: skip


def ray_starts(program: Any) -> list[dict[str, Any]]:
    """Every `ray start` of the page and of autoscaler.yaml, parsed."""
    files = AUTOSCALER["head_start_ray_commands"] + AUTOSCALER["worker_start_ray_commands"]
    lines = [line for line in (*console_commands(PAGE), *files) if "ray start" in line]
    return [parse(program, line[line.index("ray start") :]) for line in lines]


@pytest.fixture(scope="module")
def ray_cli() -> Any:
    """The `ray` command, as a click group."""
    return pytest.importorskip("ray.scripts.scripts", reason="Ray is not installed").cli


def test_every_odnbench_command_exists_with_its_options() -> None:
    program = typer.main.get_command(app)
    commands = [line for line in console_commands(PAGE) if line.startswith("odnbench ")]
    assert len(commands) >= 5
    for command in commands:
        parse(program, command)


def test_the_entrypoint_runs_on_the_cluster_and_writes_to_the_volume() -> None:
    values = parse(typer.main.get_command(app), RAYJOB["spec"]["entrypoint"])
    assert values["address"] == "auto"
    (container,) = HEAD["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = HEAD["volumes"]
    assert Path(values["storage"]).is_relative_to(mount["mountPath"])
    assert container["workingDir"] == mount["mountPath"]
    assert volume["name"] == mount["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
    (group,) = CLUSTER["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    limits = worker["resources"]["limits"]
    assert float(limits["nvidia.com/gpu"]) / values["gpus"] == float(limits["cpu"]) / values["cpus"]


def test_the_rayjob_has_what_the_operator_asks_for() -> None:
    assert (RAYJOB["apiVersion"], RAYJOB["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z][-a-z0-9]{0,45}[a-z0-9]", RAYJOB["metadata"]["name"])
    assert RAYJOB["spec"]["shutdownAfterJobFinishes"]  # without it, no ttlSecondsAfterFinished
    assert CLUSTER["authOptions"] == {"mode": "token"}
    for group in (CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    for group in CLUSTER["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_image_and_ray_have_one_version_everywhere() -> None:
    constraints = (DOCS.parent / "constraints.txt").read_text(encoding="utf-8")
    (ray,) = re.findall(r"^ray==(.*)$", constraints, flags=re.MULTILINE)
    assert CLUSTER["rayVersion"] == ray
    (dockerfile,) = blocks(PAGE, "dockerfile")
    assert dockerfile.startswith(f"FROM rayproject/ray:{ray}-py311")
    images = re.findall(r"\S+/odnbench:\S+", f"{PAGE}\n{yaml.safe_dump(RAYJOB)}")
    assert len(images) == 4
    assert {image.rpartition(":")[2] for image in images} == {__version__}


def test_ray_starts_use_the_same_ports_everywhere_and_the_firewall_lets_them_pass(
    ray_cli: Any,
) -> None:
    starts = ray_starts(ray_cli)
    heads = [start for start in starts if start["head"]]
    workers = [start for start in starts if not start["head"]]
    assert len(heads) == len(workers) == 2
    (ports,) = {
        tuple(int(start[name.replace("-", "_")]) for name in NODE_PORTS) for start in starts
    }
    (head_port,) = {int(start["port"]) for start in heads}
    assert {worker["address"].rpartition(":")[2] for worker in workers} == {str(head_port)}
    (rule,) = re.findall(r"tcp dport \{ (.*) \}", PAGE)
    allowed = {
        port
        for part in rule.split(", ")
        for port in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)
    }
    *single, first, last = ports
    assert allowed == {head_port, *single, *range(first, last + 1)}
    assert len(set(single)) == len(single)
    named = {port["name"]: port["containerPort"] for port in HEAD["containers"][0]["ports"]}
    assert named == {"gcs-server": head_port, "dashboard": 8265}


def test_ray_up_starts_head_and_workers_of_the_file(ray_cli: Any) -> None:
    provider = AUTOSCALER["provider"]
    (head,) = (
        parse(ray_cli, line[line.index("ray start") :])
        for line in AUTOSCALER["head_start_ray_commands"]
        if "ray start" in line
    )
    assert head["node_ip_address"] == provider["head_ip"]
    assert head["autoscaling_config"] == "~/ray_bootstrap_config.yaml"
    workers = len(provider["worker_ips"])
    assert AUTOSCALER["min_workers"] == AUTOSCALER["max_workers"] == workers
    assert "~/.ray/auth_token" in AUTOSCALER["file_mounts"]


@pytest.mark.parametrize("provider", ["local", "aws"])
def test_ray_accepts_the_autoscaler_file(provider: str) -> None:
    util = pytest.importorskip("ray.autoscaler._private.util", reason="Ray is not installed")
    schema = Path(util.ray.__file__).parent / "autoscaler" / "ray-schema.json"
    if not schema.is_file():
        pytest.skip("this Ray ships no schema of its autoscaler's file")
    config = dict(AUTOSCALER)
    if provider == "aws":  # the page's variant
        (variant,) = blocks(PAGE, "yaml")
        for replaced in ("provider", "auth", "min_workers", "max_workers"):
            del config[replaced]
        config |= yaml.safe_load(variant)
    prepared = util.prepare_config(config)
    util.validate_config(prepared)
    assert prepared["provider"]["type"] == provider
    with pytest.raises(Exception, match="wrong_key"):
        util.validate_config({**prepared, "wrong_key": 1})


def test_the_page_links_to_files_that_are_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert links
    assert all((DOCS / link).is_file() for link in links)
