"""Wrong values are refused, and the message says what was found and what is expected."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from chart.rendering import CHART, MATRIX, over, refused, template

Row = tuple[str, str, str]
"""A file of the matrix, the wrong value, and a part of the message."""

OF_THE_SCHEMA: list[Row] = [
    ("minimal", "worker: {replicas: 3}", "additional properties 'worker' not allowed"),
    ("minimal", "kafka: {boostrap: k}", "at '/kafka': additional properties 'boostrap' not allowed"),
    ("minimal", "kafka: {bootstrap: kafka}", "at '/kafka/bootstrap': 'kafka' does not match pattern"),
    ("minimal", "kafka: {bootstrap: [k:9092]}", "at '/kafka/bootstrap': got array, want string"),
    (
        "minimal",
        "kafka: {securityProtocol: TLS}",
        "at '/kafka/securityProtocol': value must be one of 'PLAINTEXT', 'SSL', 'SASL_PL",
    ),
    ("minimal", "kafka: {saslMechanism: GSSAPI}", "at '/kafka/saslMechanism': value must be one of 'PLAIN', 'SCRAM-SHA-256'"),
    ("minimal", "kafka: {topicPrefix: 'a b'}", "at '/kafka/topicPrefix': 'a b' does not match pattern"),
    ("minimal", "kafka: {password: word}", "at '/kafka': additional properties 'password' not allowed"),
    ("minimal", "kafka: {existingSecret: My_Secret}", "at '/kafka/existingSecret': 'My_Secret' does not match pattern"),
    ("minimal", "kafka: {checkHostname: 'no'}", "at '/kafka/checkHostname': got string, want boolean"),
    ("minimal", "topics: {mode: create}", "at '/topics/mode': value must be one of 'apply', 'check', 'none'"),
    ("minimal", "topics: {wait: 0}", "at '/topics/wait': minimum: got 0, want 1"),
    ("minimal", "redis: {url: 'valkey:6379'}", "at '/redis/url': 'valkey:6379' does not match pattern '^(rediss?://"),
    ("minimal", "redis: {password: word}", "at '/redis': additional properties 'password' not allowed"),
    (
        "minimal",
        "objectStore: {credentials: {A: {secret: x}}}",
        "at '/objectStore/credentials/A': missing property 'existingSecret'",
    ),
    ("minimal", "objectStore: {credentials: {a-b: {existingSecret: x}}}", "additional properties 'a-b' not allowed"),
    ("minimal", "policy: {policies: {acme.txt: {}}}", "at '/policy/policies': additional properties 'acme.txt' not allowed"),
    ("minimal", "policy: {tenants: tenants.yaml}", "at '/policy/tenants': got string, want object"),
    ("minimal", "settings: {worker: {live_second: 3}}", "at '/settings/worker': additional properties 'live_second' not allowed"),
    ("minimal", "settings: {worker: {live_seconds: 0}}", "at '/settings/worker/live_seconds': exclusiveMinimum: got 0, want 0"),
    ("minimal", "settings: {kafka: {password: word}}", "at '/settings/kafka': additional properties 'password' not allowed"),
    ("minimal", "settings: {workers: {}}", "at '/settings': additional properties 'workers' not allowed"),
    (
        "minimal",
        "telemetry: {otlpEndpoint: 'http://otel:4318'}",
        "at '/telemetry/otlpEndpoint': 'http://otel:4318' does not match",
    ),
    (
        "minimal",
        "telemetry: {logLevel: info}",
        "at '/telemetry/logLevel': value must be one of 'DEBUG', 'INFO', 'WARNING', 'ERROR'",
    ),
    ("minimal", "fullnameOverride: 1a", "at '/fullnameOverride': '1a' does not match pattern"),
    ("minimal", "policy: {tenants: {tenants: [acme]}}", "at '/policy/tenants/tenants': got array, want null or object"),
    ("minimal", "policy: {tenants: {tenants: {acme: default}}}", "at '/policy/tenants/tenants/acme': got string, want object"),
    ("minimal", "policy: {tenants: {acme: {policy: default}}}", "at '/policy/tenants': additional properties 'acme' not allowed"),
    (
        "minimal",
        "policy: {tenants: {tenants: {acme: {polcy: x}}}}",
        "at '/policy/tenants/tenants/acme': additional properties 'polcy'",
    ),
    (
        "minimal",
        "policy: {tenants: {default: {policy: mine}}}",
        "'mine' does not match pattern '^(default|lite-demo|.+\\\\.ya?ml)$'",
    ),
    (
        "minimal",
        "policy: {tenants: {tenants: {acme: {policy_epoch: one}}}}",
        "at '/policy/tenants/tenants/acme/policy_epoch': got string, want integer",
    ),
    ("minimal", "policy: {tenants: {tenants: {ACME: {}}}}", "invalid propertyName 'ACME'"),
    ("minimal", "monitoring: {runbookBase: 'http://b/\"'}", "at '/monitoring/runbookBase': 'http://b/\"' does not match pattern"),
    ("minimal", "networkPolicy: {objectStore: {ports: []}}", "at '/networkPolicy/objectStore/ports': minItems: got 0, want 1"),
    ("minimal", "networkPolicy: {extraEgress: [{}]}", "at '/networkPolicy/extraEgress/0': minProperties: got 0, want 1"),
    ("minimal", "triton: {podDisruptionBudget: {maxUnavailable: 0%}}", "'0%' does not match pattern"),
    ("minimal", "workers: {live: {maxSurge: 0%}}", "at '/workers/live/maxSurge': '0%' does not match pattern"),
    ("minimal", "triton: {autoscaling: {selector: {'a}': b}}}", "invalid propertyName 'a}'"),
    ("minimal", "workers: {lives: {}}", "at '/workers': additional properties 'lives' not allowed"),
    ("minimal", "workers: {live: {windowEvent: 3}}", "at '/workers/live': additional properties 'windowEvent' not allowed"),
    ("minimal", "workers: {live: {windowEvents: 0}}", "at '/workers/live/windowEvents': minimum: got 0, want 1"),
    ("minimal", "workers: {live: {windowEvents: many}}", "at '/workers/live/windowEvents': got string, want integer"),
    ("minimal", "workers: {common: {drainTimeout: 60}}", "at '/workers/common/drainTimeout': maximum: got 60, want 59"),
    (
        "minimal",
        "workers: {live: {start: yesterday}}",
        "at '/workers/live/start': 'yesterday' does not match pattern '^(latest|earl",
    ),
    (
        "minimal",
        "workers: {common: {sandboxRequired: [seccom]}}",
        "value must be one of 'limits', 'privileges', 'namespaces', 'landlock",
    ),
    (
        "minimal",
        "workers: {live: {autoscaling: {minReplicas: 0}}}",
        "at '/workers/live/autoscaling/minReplicas': minimum: got 0, want 1",
    ),
    (
        "minimal",
        "workers: {live: {resources: {limits: {memory: 4 GB}}}}",
        "at '/workers/live/resources/limits/memory': '4 GB' does not",
    ),
    (
        "minimal",
        "workers: {common: {extraEnv: [{name: A, value: 1}]}}",
        "at '/workers/common/extraEnv/0/value': got number, want string",
    ),
    ("minimal", "workers: {common: {podLabels: {a: 1}}}", "at '/workers/common/podLabels/a': got number, want string"),
    (
        "minimal",
        "workers: {common: {tolerations: [{effect: Never}]}}",
        "value must be one of '', 'NoSchedule', 'PreferNoSchedule', 'NoEx",
    ),
    ("minimal", "workers: {common: {podDisruptionBudget: {maxUnavailable: 0}}}", "maxUnavailable': minimum: got 0, want 1"),
    ("minimal", "model: {source: s3}", "at '/model/source': value must be one of 'pvc', 'download', 'image', 'bundled'"),
    ("minimal", "model: {path: /models}", "at '/model/path': '/models' does not match pattern"),
    (
        "download",
        "model: {download: {url: 'http://x/m.tar'}}",
        "at '/model/download/url': 'http://x/m.tar' does not match pattern '^((https|",
    ),
    (
        "download",
        "model: {download: {sha256: 'sha256:ab'}}",
        "at '/model/download/sha256': 'sha256:ab' does not match pattern '^([0-9a-f]{64",
    ),
    ("image-copy", "model: {image: {mode: mount}}", "at '/model/image/mode': value must be one of 'volume', 'copy'"),
    (
        "minimal",
        "image: {worker: {digest: latest}}",
        "at '/image/worker/digest': 'latest' does not match pattern '^(sha256:[0-9a-f]{64})?$'",
    ),
    (
        "minimal",
        "image: {worker: {repository: 'omniguard/worker:1.0'}}",
        "at '/image/worker/repository': 'omniguard/worker:1.0' does not",
    ),
    (
        "minimal",
        "image: {triton: {pullPolicy: Sometimes}}",
        "at '/image/triton/pullPolicy': value must be one of 'Always', 'IfNotPresent'",
    ),
    (
        "minimal",
        "global: {registry: 'https://registry.example.org'}",
        "at '/global/registry': 'https://registry.example.org' does not",
    ),
    ("minimal", "global: {imagePullSecrets: [pull]}", "at '/global/imagePullSecrets/0': got string, want object"),
    (
        "minimal",
        "triton: {engine: {name: tgi}}",
        "at '/triton/engine/name': value must be one of 'vllm', 'transformers', 'tensorrt_llm', 'lite'",
    ),
    ("minimal", "triton: {startup: {seconds: 600}}", "at '/triton/startup/seconds': minimum: got 600, want 1,800"),
    ("minimal", "triton: {gpu: {count: '1'}}", "at '/triton/gpu/count': got string, want integer"),
    ("minimal", "triton: {rollout: recreate}", "at '/triton/rollout': value must be one of 'surge', 'replace'"),
    ("minimal", "triton: {shmSize: 2GB}", "at '/triton/shmSize': '2GB' does not match pattern"),
    ("minimal", "topologySpread: {whenUnsatisfiable: Ignore}", "value must be one of 'ScheduleAnyway', 'DoNotSchedule'"),
    (
        "minimal",
        "networkPolicy: {objectStore: {cidrs: [10.0.0.1]}}",
        "at '/networkPolicy/objectStore/cidrs/0': '10.0.0.1' does not match",
    ),
    ("minimal", "networkPolicy: {kafka: {to: [{}]}}", "at '/networkPolicy/kafka/to/0': minProperties: got 0, want 1"),
    (
        "minimal",
        "networkPolicy: {kafka: {ports: [70000]}}",
        "at '/networkPolicy/kafka/ports/0': maximum: got 70,000, want 65,535",
    ),
    ("minimal", "monitoring: {podMonitor: {interval: 15}}", "at '/monitoring/podMonitor/interval': got number, want string"),
    ("strimzi", "strimzi: {authentication: oauth}", "at '/strimzi/authentication': value must be one of 'scram-sha-512', 'tls'"),
    ("minimal", "probe: {timeout: 0}", "at '/probe/timeout': minimum: got 0, want 1"),
]

OF_THE_TEMPLATES: list[Row] = [
    ("minimal", "kafka: {bootstrap: ''}", "kafka.bootstrap: found none, expected brokers as host:port by commas: set it"),
    ("minimal", "kafka: {existingSecret: login}", "kafka.securityProtocol: found PLAINTEXT beside a login, expected SASL_SSL"),
    ("minimal", "kafka: {clientCertificate: true}", "kafka.securityProtocol: found PLAINTEXT beside certificates, expected SSL"),
    (
        "minimal",
        "kafka: {securityProtocol: SASL_SSL}",
        "kafka.existingSecret: found none for the lane live, expected a secret with its login",
    ),
    ("strimzi", "strimzi: {cluster: ''}", "strimzi.cluster: found none, expected the name of the Kafka resource"),
    ("strimzi", "topics: {mode: apply}", "topics.mode: found apply beside strimzi.topics, expected one owner of the topics"),
    ("strimzi", "strimzi: {namespace: kafka}", "strimzi.namespace: found kafka beside strimzi.users, expected moderation"),
    ("strimzi", "strimzi: {authentication: tls}", "kafka.clientCertificate: found strimzi.authentication tls without it"),
    (
        "strimzi",
        "kafka: {saslMechanism: PLAIN}",
        "kafka.saslMechanism: found another login than strimzi.authentication scram-sha-512",
    ),
    ("minimal", "policy: {tenants: {tenants: null}}", "policy.tenants: found no tenant, expected at least one, or a default"),
    (
        "production",
        "policy: {tenants: {tenants: {acme: {policy: b.yaml, policy_epoch: 1}}}}",
        "policy.policies: found no b.yaml, which the tenant acme names",
    ),
    ("minimal", "redis: {existingSecret: redis}", "redis.url: found none beside a login, expected an address"),
    ("sasl-tls", "redis: {keys: {url: url}}", "redis.keys.url: found it beside redis.url, expected one of them"),
    ("redis-url", "redis: {existingSecret: ''}", "redis.existingSecret: found none beside redis.keys.url"),
    (
        "sasl-tls",
        "redis: {url: 'redis://valkey:6379'}",
        "redis.url: found redis://valkey:6379 beside certificates, expected rediss://",
    ),
    (
        "cascade",
        "cascade: {existingSecret: ''}",
        "cascade.existingSecret: found none beside cascade.model, expected the secret with the salt",
    ),
    (
        "minimal",
        "monitoring: {podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}",
        "found true beside podMonitor, expected one",
    ),
    (
        "minimal",
        "workers: {live: {autoscaling: {maxReplicas: 13}}}",
        "workers.live.autoscaling.maxReplicas: found 13, expected at most 12",
    ),
    (
        "minimal",
        "workers: {live: {autoscaling: {minReplicas: 13}}}",
        "workers.live.autoscaling.minReplicas: found 13, expected at most",
    ),
    (
        "minimal",
        "workers: {live: {autoscaling: {lagThreshold: 127}}}",
        "lagThreshold: found 127, expected at least 128",
    ),
    (
        "minimal",
        "workers: {late: {replicas: 5}}",
        "workers.late.replicas: found 5, expected at most 4, the partitions of its topic",
    ),
    (
        "minimal",
        "workers: {live: {extraEnv: [{name: OMNIGUARD_WORKER__LANE, value: late}]}}",
        "workers.live.extraEnv: found OMNIGUARD_WORKER__LANE, which values of this chart make",
    ),
    (
        "minimal",
        "settings: {worker: {window_events: 8}}",
        "settings.worker.window_events: found a setting that values of this chart make",
    ),
    (
        "lite",
        "triton: {acknowledgeLite: false}",
        "found lite as the only engine, expected another, or triton.acknowledgeLite: true",
    ),
    ("lite", "triton: {acknowledgeLite: false}", "no picture and no video"),
    ("lite", "triton: {acknowledgeLite: false}", "child_sexual_exploitation, defamation, intellectual_property, privacy"),
    ("lite", "model: {source: pvc}", "model.source: found pvc with the engine lite, expected bundled"),
    ("minimal", "model: {source: bundled}", "model.source: found bundled with the engine vllm, expected pvc, download or image"),
    (
        "minimal",
        "model: {pvc: {existingClaim: ''}}",
        "model.pvc.existingClaim: found none, expected the claim that holds the checkpoint",
    ),
    (
        "download",
        "model: {download: {sha256: ''}}",
        "model.download: found no url, or no sha256, expected both, for nothing is loaded",
    ),
    (
        "image-copy",
        "model: {image: {reference: ''}}",
        "model.image.reference: found none, expected the image that holds the checkpoint",
    ),
    ("lite", "triton: {gpu: {count: 1}}", "triton.gpu.count: found 1 with the engine lite, expected 0"),
    ("minimal", "triton: {gpu: {count: 0}}", "triton.gpu.count: found 0 with the engine vllm, expected at least 1"),
    (
        "minimal",
        "triton: {engine: {parameters: {model: /m}}}",
        "triton.engine.parameters.model: found it, expected it to be left to the chart",
    ),
    (
        "minimal",
        "triton: {engine: {parameters: {tensor_parallel_size: 2}}}",
        "found 2 beside triton.gpu.count 1, expected as many",
    ),
    ("minimal", "triton: {tls: {mutual: true}}", "triton.tls.clientSecret: found mutual without both secrets"),
    (
        "minimal",
        "triton: {autoscaling: {enabled: true}}",
        "triton.autoscaling.serverAddress: found none, expected the URL of the Prometheus",
    ),
    (
        "production",
        "triton: {autoscaling: {minReplicas: 9}}",
        "triton.autoscaling.minReplicas: found 9, expected at most maxReplicas, 6",
    ),
    ("triton-elsewhere", "triton: {externalAddresses: ''}", "triton.externalAddresses: found none beside triton.enabled false"),
    (
        "triton-elsewhere",
        "workers: {live: {enabled: false}, backfill: {enabled: false}, late: {enabled: false}}",
        "workers: found no lane enabled and triton.enabled false, expected something to run",
    ),
    (
        "minimal",
        "commonLabels: {app.kubernetes.io/instance: b}",
        "commonLabels: found app.kubernetes.io/instance, expected labels of",
    ),
    ("minimal", "triton: {podLabels: {app.kubernetes.io/component: b}}", "triton.podLabels: found app.kubernetes.io/component"),
    (
        "minimal",
        "workers: {late: {podLabels: {app.kubernetes.io/name: b}}}",
        "workers.late.podLabels: found app.kubernetes.io/name",
    ),
    (
        "minimal",
        "policy: {tenants: {tenants: {acme: {fetch: {s3: [{bucket: uploads, credentials: main}]}}}}}",
        "objectStore.credentials: found no main, which a source of the tenant acme names, expected it with its secret: add main:",
    ),
    ("minimal", "policy: {policies: {tenants.yaml: {}}}", "policy.policies: found tenants.yaml, expected another name"),
    (
        "minimal",
        "policy: {tenants: {tenants: {_omniguard: {policy: default, policy_epoch: 1}}}}",
        "policy.tenants: found the tenant _omniguard, expected",
    ),
    (
        "minimal",
        "objectStore: {credentials: {a: {existingSecret: s}, A: {existingSecret: s}}}",
        "found two names that differ by case",
    ),
    ("minimal", "redis: {url: 'redis://:word@redis'}", "redis.url: found a password or a signature in it, expected none"),
    ("minimal", "redis: {url: 'redis://redis?password=word'}", "redis.url: found a password or a signature in it, expected none"),
    (
        "minimal",
        "telemetry: {otlpEndpoint: 'https://a:word@b/v1/traces'}",
        "telemetry.otlpEndpoint: found a password or a signature",
    ),
    (
        "download",
        "model: {download: {url: 'https://b/m?X-Amz-Signature=word'}}",
        "model.download.url: found a password or a signature",
    ),
    (
        "download",
        "model: {download: {s3: {endpoint: 'https://a:word@b'}}}",
        "model.download.s3.endpoint: found a password or a signa",
    ),
    (
        "production",
        "triton: {autoscaling: {serverAddress: 'http://a:word@b'}}",
        "triton.autoscaling.serverAddress: found a password",
    ),
    (
        "minimal",
        "settings: {telemetry: {otlp_endpoint: 'http://b/v1/traces'}}",
        "settings.telemetry.otlp_endpoint: found a setting that",
    ),
]


def _values(text: str) -> Any:
    return YAML(typ="safe").load(text)


@pytest.mark.parametrize(("name", "wrong", "message"), OF_THE_SCHEMA, ids=lambda each: each[:40])
def test_a_value_of_a_wrong_kind_is_refused(name: str, wrong: str, message: str) -> None:
    said = refused(_values(wrong), name)
    assert "values don't meet the specifications of the schema(s)" in said
    assert message in said


@pytest.mark.parametrize(("name", "wrong", "message"), OF_THE_TEMPLATES, ids=lambda each: each[:40])
def test_values_that_do_not_go_together_are_refused(name: str, wrong: str, message: str) -> None:
    said = refused(_values(wrong), name)
    assert "These values do not go together" in said or "settings." in said
    assert message in said


def test_the_defaults_alone_say_what_is_missing() -> None:
    """All of it at once, and nothing of Go templates."""
    said = template().stderr
    for missing in ("kafka.bootstrap: found none", "policy.tenants: found no tenant", "model.pvc.existingClaim: found none"):
        assert missing in said
    assert "nil pointer" not in said


@pytest.mark.parametrize("name", ["minimal", "everything"])
def test_a_value_that_is_cleared_is_no_riddle(name: str) -> None:
    """`null` takes a default away, and people clear maps by it: what is left renders, or is refused in words."""
    for wrong in ("workers: {common: {podAnnotations: null}}", "triton: {nodeSelector: null}", "commonLabels: null"):
        done = over(_values(wrong), name)
        assert "nil pointer" not in done.stderr, f"{wrong}: {done.stderr}"
        assert "error calling include" not in done.stderr, f"{wrong}: {done.stderr}"


def test_an_older_kubernetes_is_refused() -> None:
    done = template("--values", str(MATRIX / "minimal.yaml"), "--kube-version", "1.29")
    assert done.returncode != 0
    assert "chart requires kubeVersion: >=1.30" in done.stderr


def test_every_check_of_the_templates_has_a_row() -> None:
    """A new check comes with the message that a person sees."""
    text = (CHART / "templates/_checks.tpl").read_text()
    assert len(OF_THE_TEMPLATES) >= text.count("append $wrong")
