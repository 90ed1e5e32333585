{{/* What the schema cannot say: values that do not go together. Each line: where, what was found, what was expected, what to do. */}}
{{- define "omniguard.checks" -}}
{{- $v := .Values -}}
{{- $lanes := include "omniguard.lanes" . | fromYaml -}}
{{- $wrong := concat (include "omniguard.checks.kafka" . | fromJsonArray) (include "omniguard.checks.policy" . | fromJsonArray) (include "omniguard.checks.lanes" . | fromJsonArray) (include "omniguard.checks.names" . | fromJsonArray) (include "omniguard.checks.secrets" . | fromJsonArray) -}}
{{- if $v.triton.enabled -}}
{{- $wrong = concat $wrong (include "omniguard.checks.triton" . | fromJsonArray) -}}
{{- else if $lanes -}}
{{- if not $v.triton.externalAddresses }}{{ $wrong = append $wrong "triton.externalAddresses: found none beside triton.enabled false, expected servers that workers ask: list them, or set triton.enabled" }}{{ end -}}
{{- else -}}
{{- $wrong = append $wrong "workers: found no lane enabled and triton.enabled false, expected something to run: enable one" -}}
{{- end -}}
{{- with $v.redis -}}
{{- if and (or .username .existingSecret .ca.existingSecret .clientCertificate.existingSecret) (not (or .url .keys.url)) }}{{ $wrong = append $wrong "redis.url: found none beside a login, expected an address: set redis.url, or redis.keys.url for one in the secret" }}{{ end -}}
{{- if and .url .keys.url }}{{ $wrong = append $wrong "redis.keys.url: found it beside redis.url, expected one of them: unset one" }}{{ end -}}
{{- if and .keys.url (not .existingSecret) }}{{ $wrong = append $wrong "redis.existingSecret: found none beside redis.keys.url, expected the secret that has that key: name it" }}{{ end -}}
{{- if and .url (or .ca.existingSecret .clientCertificate.existingSecret) (not (hasPrefix "rediss:" .url)) }}{{ $wrong = append $wrong (printf "redis.url: found %s beside certificates, expected rediss://: correct the URL" .url) }}{{ end -}}
{{- end -}}
{{- if and $v.cascade.model (not $v.cascade.existingSecret) }}{{ $wrong = append $wrong "cascade.existingSecret: found none beside cascade.model, expected the secret with the salt: name it" }}{{ end -}}
{{- if and $v.monitoring.podMonitor.enabled $v.monitoring.serviceMonitor.enabled }}{{ $wrong = append $wrong "monitoring.serviceMonitor.enabled: found true beside podMonitor, expected one of them, for pods would be scraped twice: disable one" }}{{ end -}}
{{- if $wrong }}{{ fail (printf "\n\nThese values do not go together:\n  - %s\n" (join "\n  - " $wrong)) }}{{ end -}}
{{- end }}

{{/* Names that objects have, and labels by which pods are found: another's label would take a pod out of its NetworkPolicy. */}}
{{- define "omniguard.checks.names" -}}
{{- $wrong := list -}}
{{- if not (regexMatch "^[a-z]" (include "omniguard.fullname" .)) }}{{ $wrong = append $wrong (printf "fullnameOverride: found none for the release %s, expected one, for the name of a Service begins with a letter: set it" .Release.Name) }}{{ end -}}
{{- $ours := keys (include "omniguard.labels" (dict "root" . "component" "all") | fromYaml) -}}
{{- $labels := dict "commonLabels" .Values.commonLabels "triton.podLabels" .Values.triton.podLabels -}}
{{- range $lane, $values := include "omniguard.lanes" . | fromYaml }}{{ $_ := set $labels (printf "workers.%s.podLabels" $lane) $values.podLabels }}{{ end -}}
{{- range $where, $given := $labels -}}
{{- range $name, $_ := $given -}}
{{- if has $name $ours }}{{ $wrong = append $wrong (printf "%s: found %s, expected labels of your own, for this one is the chart's, and pods are found by it: take it out" $where $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{/* Whatever stands in a manifest may be read by all who may read the release; so the message does not repeat it. */}}
{{- define "omniguard.checks.secrets" -}}
{{- $wrong := list -}}
{{- $names := list }}{{ range $name, $_ := .Values.objectStore.credentials }}{{ $names = append $names (upper $name) }}{{ end -}}
{{- if ne (len $names) (len (uniq $names)) }}{{ $wrong = append $wrong "objectStore.credentials: found two names that differ by case alone, expected each once, for they are read without it: rename one" }}{{ end -}}
{{- $urls := dict
  "redis.url" (list .Values.redis.url "set redis.existingSecret")
  "telemetry.otlpEndpoint" (list .Values.telemetry.otlpEndpoint "put a collector before it that logs in")
  "model.download.url" (list .Values.model.download.url "set model.download.token or model.download.s3")
  "model.download.s3.endpoint" (list .Values.model.download.s3.endpoint "set model.download.s3.existingSecret")
  "triton.autoscaling.serverAddress" (list .Values.triton.autoscaling.serverAddress "set triton.autoscaling.authenticationRef")
-}}
{{- range $where, $found := $urls -}}
{{- if or (regexMatch "^[a-z0-9]+://[^/?#]*:[^/?#]*@" (first $found)) (regexMatch "(?i)[?&](password|[a-z-]*signature|sig|[a-z_-]*token|api_?key)=" (first $found)) -}}
{{- $wrong = append $wrong (printf "%s: found a password or a signature in it, expected none, for it would stand in the manifests: %s" $where (last $found)) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{- define "omniguard.checks.kafka" -}}
{{- $kafka := .Values.kafka -}}
{{- $strimzi := .Values.strimzi -}}
{{- $sasl := hasPrefix "SASL" $kafka.securityProtocol -}}
{{- $tls := hasSuffix "SSL" $kafka.securityProtocol -}}
{{- $wrong := list -}}
{{- if not $kafka.bootstrap }}{{ $wrong = append $wrong "kafka.bootstrap: found none, expected brokers as host:port by commas: set it" }}{{ end -}}
{{- if not (or $sasl $tls) -}}
{{- if or $kafka.username $kafka.existingSecret $strimzi.users }}{{ $wrong = append $wrong "kafka.securityProtocol: found PLAINTEXT beside a login, expected SASL_SSL, SASL_PLAINTEXT or SSL: name the brokers' listener" }}{{ end -}}
{{- end -}}
{{- if not $tls -}}
{{- if or $kafka.ca.existingSecret $kafka.clientCertificate }}{{ $wrong = append $wrong (printf "kafka.securityProtocol: found %s beside certificates, expected SSL or SASL_SSL: name the brokers' listener" $kafka.securityProtocol) }}{{ end -}}
{{- end -}}
{{- if and (or $sasl $kafka.clientCertificate) (not $kafka.existingSecret) (not $strimzi.users) -}}
{{- range $lane, $values := include "omniguard.lanes" . | fromYaml -}}
{{- if not $values.existingSecret }}{{ $wrong = append $wrong (printf "kafka.existingSecret: found none for the lane %s, expected a secret with its login: name it, or set workers.%s.existingSecret" $lane $lane) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if or $strimzi.topics $strimzi.users -}}
{{- if not $strimzi.cluster }}{{ $wrong = append $wrong "strimzi.cluster: found none, expected the name of the Kafka resource: set it" }}{{ end -}}
{{- end -}}
{{- if and $strimzi.topics (eq .Values.topics.mode "apply") }}{{ $wrong = append $wrong "topics.mode: found apply beside strimzi.topics, expected one owner of the topics: set it to check or none" }}{{ end -}}
{{- if $strimzi.users -}}
{{- if and $strimzi.namespace (ne $strimzi.namespace .Release.Namespace) }}{{ $wrong = append $wrong (printf "strimzi.namespace: found %s beside strimzi.users, expected %s, for pods read no secret of another namespace: install there, or make the users yourself and name their secrets" $strimzi.namespace .Release.Namespace) }}{{ end -}}
{{- if and (eq $strimzi.authentication "tls") (not (and (eq $kafka.securityProtocol "SSL") $kafka.clientCertificate)) }}{{ $wrong = append $wrong "kafka.clientCertificate: found strimzi.authentication tls without it, expected kafka.securityProtocol SSL and kafka.clientCertificate true: set both" }}{{ end -}}
{{- if and (eq $strimzi.authentication "scram-sha-512") (not (and $sasl (eq $kafka.saslMechanism "SCRAM-SHA-512"))) }}{{ $wrong = append $wrong "kafka.saslMechanism: found another login than strimzi.authentication scram-sha-512, expected SCRAM-SHA-512 and a protocol SASL_…: set both" }}{{ end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{- define "omniguard.checks.policy" -}}
{{- $policy := .Values.policy -}}
{{- $wrong := list -}}
{{- $file := $policy.tenants | default dict -}}
{{- if and (include "omniguard.lanes" . | fromYaml) (not $policy.existingConfigMap) -}}
{{- $sections := merge (dict) ($file.tenants | default dict) -}}
{{- if $file.default }}{{ $_ := set $sections "default" $file.default }}{{ end -}}
{{- $known := list }}{{ range $name, $_ := .Values.objectStore.credentials }}{{ $known = append $known (upper $name) }}{{ end -}}
{{- if not $sections }}{{ $wrong = append $wrong "policy.tenants: found no tenant, expected at least one, or a default: {tenants: {acme: {policy: default, policy_epoch: 1}}}" }}{{ end -}}
{{- if hasKey $policy.policies "tenants.yaml" }}{{ $wrong = append $wrong "policy.policies: found tenants.yaml, expected another name, for the tenants file has this one: rename it" }}{{ end -}}
{{- if hasKey ($file.tenants | default dict) "_omniguard" }}{{ $wrong = append $wrong "policy.tenants: found the tenant _omniguard, expected names of your own, for this one is built in: take it out" }}{{ end -}}
{{- range $name, $tenant := $sections -}}
{{- $named := $tenant.policy | default "" -}}
{{- if and (regexMatch "[.]ya?ml$" $named) (not (hasKey $policy.policies $named)) }}{{ $wrong = append $wrong (printf "policy.policies: found no %s, which the tenant %s names, expected it: add it by --set-file 'policy.policies.%s=FILE', or correct the name" $named $name (replace "." "\\." $named)) }}{{ end -}}
{{- range $source := dig "fetch" "s3" list $tenant -}}
{{- with $source.credentials -}}
{{- if not (has (upper .) $known) }}{{ $wrong = append $wrong (printf "objectStore.credentials: found no %s, which a source of the tenant %s names, expected it with its secret: add %s: {existingSecret: …}, or correct the name" . $name .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{- define "omniguard.checks.lanes" -}}
{{- $wrong := list -}}
{{- range $lane, $values := include "omniguard.lanes" . | fromYaml -}}
{{- $where := printf "workers.%s" $lane -}}
{{- $partitions := int $values.partitions -}}
{{- with $values.autoscaling -}}
{{- $most := int (.maxReplicas | default $partitions) -}}
{{- $least := mul 4 $values.windowEvents | int -}}
{{- if .enabled -}}
{{- if gt $most $partitions }}{{ $wrong = append $wrong (printf "%s.autoscaling.maxReplicas: found %d, expected at most %d, the partitions of its topic, for more workers idle: lower it, or raise the topic's partitions and %s.partitions" $where $most $partitions $where) }}{{ end -}}
{{- if gt (int .minReplicas) $most }}{{ $wrong = append $wrong (printf "%s.autoscaling.minReplicas: found %d, expected at most maxReplicas, %d: lower it" $where (int .minReplicas) $most) }}{{ end -}}
{{- if and .lagThreshold (lt (int .lagThreshold) $least) }}{{ $wrong = append $wrong (printf "%s.autoscaling.lagThreshold: found %d, expected at least %d (4 × windowEvents), for all that a worker is at counts as lag: raise it, or leave it 0" $where (int .lagThreshold) $least) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (not $values.autoscaling.enabled) (gt (int $values.replicas) $partitions) }}{{ $wrong = append $wrong (printf "%s.replicas: found %d, expected at most %d, the partitions of its topic: lower it" $where (int $values.replicas) $partitions) }}{{ end -}}
{{- $known := keys (include "omniguard.workerEnv" (dict "root" $ "lane" $lane "values" $values) | fromYaml) -}}
{{- range $values.extraEnv -}}
{{- if or (has .name $known) (hasPrefix "OMNIGUARD_KAFKA__" .name) }}{{ $wrong = append $wrong (printf "%s.extraEnv: found %s, which values of this chart make, expected others only: set the value or settings instead" $where .name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{- define "omniguard.checks.triton" -}}
{{- $triton := .Values.triton -}}
{{- $model := .Values.model -}}
{{- $engine := $triton.engine.name -}}
{{- $lite := eq $engine "lite" -}}
{{- $gpus := int $triton.gpu.count -}}
{{- $wrong := list -}}
{{- if and $lite (not $triton.acknowledgeLite) }}{{ $wrong = append $wrong (include "omniguard.checks.lite" .) }}{{ end -}}
{{- if ne $lite (eq $model.source "bundled") }}{{ $wrong = append $wrong (printf "model.source: found %s with the engine %s, expected %s: correct one of them" $model.source $engine (ternary "bundled, for its models lie in its image" "pvc, download or image, for it needs a checkpoint" $lite)) }}{{ end -}}
{{- if and (eq $model.source "pvc") (not $model.pvc.existingClaim) (not $lite) }}{{ $wrong = append $wrong "model.pvc.existingClaim: found none, expected the claim that holds the checkpoint: name it, or set model.source to download or image" }}{{ end -}}
{{- if and (eq $model.source "download") (not (and $model.download.url $model.download.sha256)) }}{{ $wrong = append $wrong "model.download: found no url, or no sha256, expected both, for nothing is loaded unchecked: set them" }}{{ end -}}
{{- if and (eq $model.source "image") (not $model.image.reference) }}{{ $wrong = append $wrong "model.image.reference: found none, expected the image that holds the checkpoint: set it" }}{{ end -}}
{{- if and $lite (gt $gpus 0) }}{{ $wrong = append $wrong (printf "triton.gpu.count: found %d with the engine lite, expected 0, for it uses none: set it to 0" $gpus) }}{{ end -}}
{{- if and (has $engine (list "vllm" "tensorrt_llm")) (lt $gpus 1) }}{{ $wrong = append $wrong (printf "triton.gpu.count: found 0 with the engine %s, expected at least 1: raise it" $engine) }}{{ end -}}
{{- range $name := list "engine" "model" -}}
{{- if hasKey $triton.engine.parameters $name }}{{ $wrong = append $wrong (printf "triton.engine.parameters.%s: found it, expected it to be left to the chart: use %s" $name (ternary "triton.engine.name" "model.source and model.path" (eq $name "engine"))) }}{{ end -}}
{{- end -}}
{{- with $triton.engine.parameters.tensor_parallel_size -}}
{{- if ne (int .) $gpus }}{{ $wrong = append $wrong (printf "triton.engine.parameters.tensor_parallel_size: found %v beside triton.gpu.count %d, expected as many: leave it out" . $gpus) }}{{ end -}}
{{- end -}}
{{- if and $triton.tls.mutual (not (and $triton.tls.existingSecret $triton.tls.clientSecret)) }}{{ $wrong = append $wrong "triton.tls.clientSecret: found mutual without both secrets, expected triton.tls.existingSecret and clientSecret: name them" }}{{ end -}}
{{- with $triton.autoscaling -}}
{{- if and .enabled (not .serverAddress) }}{{ $wrong = append $wrong "triton.autoscaling.serverAddress: found none, expected the URL of the Prometheus that scrapes the supervisors: set it" }}{{ end -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}{{ $wrong = append $wrong (printf "triton.autoscaling.minReplicas: found %d, expected at most maxReplicas, %d: lower it" (int .minReplicas) (int .maxReplicas)) }}{{ end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{- define "omniguard.checks.lite" -}}
triton.engine.name: found lite as the only engine, expected another, or triton.acknowledgeLite: true from somebody who knows that it assesses
    no picture and no video (only the text drawn in them); no language but English;
    in speech only indiscriminate_weapons and sexual_content;
    and nowhere child_sexual_exploitation, defamation, intellectual_property, privacy, sex_related_crimes, specialized_advice.
    What is not assessed is never called safe: by the policy `default` nearly every upload stays indeterminate
{{- end }}
