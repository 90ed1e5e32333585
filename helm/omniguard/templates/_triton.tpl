{{/* The launcher's arguments; what it does not know itself it hands to tritonserver. */}}
{{- define "omniguard.tritonArgs" -}}
{{- $triton := .Values.triton -}}
- --models=/models
- --pid-file=/run/omniguard/triton.pid
- --exit-timeout={{ include "omniguard.text" $triton.drain.exitSeconds }}
- --stub-timeout={{ include "omniguard.text" $triton.startup.seconds }}
{{- if $triton.restricted.existingSecret }}
- --worker-value-file=/etc/omniguard/restricted/value
- --admin-value-file=/etc/omniguard/restricted/admin-value
{{- end }}
{{- if $triton.tls.existingSecret }}
- --grpc-use-ssl=true
- --grpc-use-ssl-mutual={{ $triton.tls.mutual }}
- --grpc-server-cert=/etc/omniguard/tls/tls.crt
- --grpc-server-key=/etc/omniguard/tls/tls.key
- --grpc-root-cert=/etc/omniguard/tls/ca.crt
{{- end }}
{{- with $triton.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "omniguard.supervisorEnv" -}}
{{- $env := include "omniguard.tritonClientEnv" . | fromYaml -}}
{{- if .Values.triton.restricted.existingSecret }}{{ $_ := set $env "OMNIGUARD_TRITON__ADMIN_VALUE_FILE" "/etc/omniguard/triton/admin-value" }}{{ end -}}
{{- toYaml (set $env "OMNIGUARD_TELEMETRY__LOG_LEVEL" .Values.telemetry.logLevel) -}}
{{- end }}

{{/* The operator's, and that of a GPU's usual taint where one is asked for. YAML of a list. */}}
{{- define "omniguard.tritonTolerations" -}}
{{- $gpu := .Values.triton.gpu -}}
{{- $own := list (dict "key" $gpu.resource "operator" "Exists" "effect" "NoSchedule") -}}
{{- toYaml (concat .Values.triton.tolerations (ternary $own list (gt (int $gpu.count) 0))) -}}
{{- end }}

{{- define "omniguard.tritonResources" -}}
{{- $resources := deepCopy .Values.triton.resources -}}
{{- with .Values.triton.gpu -}}
{{- if gt (int .count) 0 -}}
{{- $_ := set $resources "limits" (merge (dict .resource (int .count)) ($resources.limits | default dict)) -}}
{{- $_ := set $resources "requests" (merge (dict .resource (int .count)) ($resources.requests | default dict)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{/* The guard's config.pbtxt: the package's, with the parameters of these values. */}}
{{- define "omniguard.modelConfig" -}}
{{- $engine := .Values.triton.engine -}}
{{- $set := dict "engine" $engine.name "FORCE_CPU_ONLY_INPUT_TENSORS" "yes" -}}
{{- if ne .Values.model.source "bundled" }}{{ $_ := set $set "model" (include "omniguard.checkpoint" .) }}{{ end -}}
{{- if and (eq $engine.name "vllm") (gt (int .Values.triton.gpu.count) 1) }}{{ $_ := set $set "tensor_parallel_size" .Values.triton.gpu.count }}{{ end -}}
{{- regexReplaceAll "(?m)^(#|parameters).*\n" (.Files.Get "files/config.pbtxt") "" | trim }}
{{ range $name, $value := merge $set $engine.parameters }}
parameters { key: {{ $name | quote }} value: { string_value: {{ include "omniguard.text" $value | quote }} } }
{{- end }}
{{- end }}

{{/* The folder of a download: one for each digest, so that on a shared claim old and new pods each find theirs. */}}
{{- define "omniguard.downloaded" -}}
/checkpoint/{{ trunc 16 .Values.model.download.sha256 }}
{{- end }}

{{- define "omniguard.checkpoint" -}}
{{- $top := ternary (include "omniguard.downloaded" .) "/checkpoint" (eq .Values.model.source "download") -}}
{{- printf "%s/%s" $top .Values.model.path | trimSuffix "/" -}}
{{- end }}

{{/* The init container that puts the checkpoint into its volume, where it does not come by itself. */}}
{{- define "omniguard.modelContainer" -}}
{{- $model := .Values.model -}}
{{- $copied := and (eq $model.source "image") (eq $model.image.mode "copy") -}}
{{- if or $copied (eq $model.source "download") -}}
- name: model
  {{- if $copied }}
  image: {{ $model.image.reference | quote }}
  imagePullPolicy: {{ $model.image.pullPolicy }}
  command:
    {{- toYaml $model.image.copyCommand | nindent 4 }}
  {{- else }}
  {{- include "omniguard.image" (dict "root" . "image" "worker") | nindent 2 }}
  args:
    - model
    - fetch
    - {{ $model.download.url | quote }}
    - --sha256={{ $model.download.sha256 }}
    - --to={{ include "omniguard.downloaded" . }}
    {{- with $model.download.token }}{{ if .existingSecret }}
    - --token-file=/etc/omniguard/model/token
    {{- end }}{{ end }}
    {{- with $model.download.s3 }}
    {{- if .existingSecret }}
    - --credentials=model
    {{- end }}
    {{- with .endpoint }}
    - --endpoint={{ . }}
    {{- end }}
    {{- with .region }}
    - --region={{ . }}
    {{- end }}
    {{- end }}
  {{- with $model.download.s3 }}{{ if .existingSecret }}
  env:
    - name: OMNIGUARD_S3__MODEL__ACCESS_KEY_ID
      valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .accessKeyIdKey | quote }}}}
    - name: OMNIGUARD_S3__MODEL__SECRET_ACCESS_KEY_FILE
      value: /etc/omniguard/model/secret-access-key
  {{- end }}{{ end }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  resources: {requests: {cpu: 500m, memory: 256Mi}, limits: {memory: 1Gi}}
  volumeMounts:
    - {name: checkpoint, mountPath: /checkpoint}
    - {name: tmp, mountPath: /tmp, subPath: model}
    {{- with include "omniguard.secretMounts" (include "omniguard.modelSecrets" .) | trim }}{{ . | nindent 4 }}{{ end }}
{{- end }}
{{- end }}

{{/* What the download logs in with, as a volume; nothing where it needs nothing. */}}
{{- define "omniguard.modelSecrets" -}}
{{- $sources := list -}}
{{- if eq .Values.model.source "download" -}}
{{- with .Values.model.download.token }}{{ if .existingSecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" (list (dict "key" .key "path" "token")))) -}}
{{- end }}{{ end -}}
{{- with .Values.model.download.s3 }}{{ if .existingSecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" (list (dict "key" .secretAccessKeyKey "path" "secret-access-key")))) -}}
{{- end }}{{ end -}}
{{- end -}}
{{- include "omniguard.secretFiles" (dict "name" "model" "sources" $sources) -}}
{{- end }}

{{- define "omniguard.modelVolume" -}}
{{- with .Values.model -}}
{{- if ne .source "bundled" -}}
- name: checkpoint
  {{- if eq .source "pvc" }}
  persistentVolumeClaim: {claimName: {{ .pvc.existingClaim | quote }}, readOnly: true}
  {{- else if and (eq .source "download") .download.existingClaim }}
  persistentVolumeClaim: {claimName: {{ .download.existingClaim | quote }}}
  {{- else if and (eq .source "image") (eq .image.mode "volume") }}
  image: {reference: {{ .image.reference | quote }}, pullPolicy: {{ .image.pullPolicy }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ .download.size }}}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
