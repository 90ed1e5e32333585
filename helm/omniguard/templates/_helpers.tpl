{{/* Names. Short enough for what Kubernetes and KEDA put before and behind them. */}}
{{- define "omniguard.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 36 | trimSuffix "-" -}}
{{- end }}

{{- define "omniguard.fullname" -}}
{{- $name := include "omniguard.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | replace "." "-" | trunc 36 | trimSuffix "-" -}}
{{- end }}

{{/* Labels by which pods are selected. Of dict root, component (empty: all of the release). */}}
{{- define "omniguard.selector" -}}
app.kubernetes.io/name: {{ include "omniguard.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "omniguard.labels" -}}
{{ include "omniguard.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: omniguard
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* metadata of an object. Of dict root, component, and optionally name (default: component), namespace, labels, annotations. */}}
{{- define "omniguard.metadata" -}}
name: {{ include "omniguard.fullname" .root }}-{{ .name | default .component }}
namespace: {{ .namespace | default .root.Release.Namespace | quote }}
labels:
  {{- merge (include "omniguard.labels" . | fromYaml) (.labels | default dict) (.root.Values.commonLabels | default dict) | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "omniguard.podMetadata" -}}
labels:
  {{- merge (include "omniguard.selector" . | fromYaml) (.values.podLabels | default dict) (.root.Values.commonLabels | default dict) | toYaml | nindent 2 }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .container }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* An image's name and when it is pulled. Of dict root, image (worker or triton). */}}
{{- define "omniguard.image" -}}
{{- $image := index .root.Values.image .image -}}
{{- $name := printf "%s%s" (ternary (printf "%s/" .root.Values.global.registry) "" (ne .root.Values.global.registry "")) $image.repository -}}
image: {{ ternary (printf "%s@%s" $name $image.digest) (printf "%s:%s" $name ($image.tag | default .root.Chart.AppVersion)) (ne $image.digest "") | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end }}

{{/* What all pods have in common. Of dict root, component, values. */}}
{{- define "omniguard.pod" -}}
serviceAccountName: {{ include "omniguard.fullname" .root }}-{{ .component }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- if .root.Values.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range .root.Values.topologySpread.topologyKeys }}
  - maxSkew: 1
    topologyKey: {{ . | quote }}
    whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "omniguard.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end }}

{{/* Lanes that have workers, each with what is common to all under what is its own. YAML of a map. */}}
{{- define "omniguard.lanes" -}}
{{- $lanes := dict -}}
{{- range $lane := list "live" "backfill" "late" -}}
{{- $own := index $.Values.workers $lane -}}
{{- if $own.enabled -}}
{{- $_ := set $lanes $lane (mergeOverwrite (deepCopy $.Values.workers.common) (deepCopy $own)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $lanes -}}
{{- end }}

{{/* Every component that has pods, with its values. YAML of a map. */}}
{{- define "omniguard.components" -}}
{{- $components := dict -}}
{{- range $lane, $values := include "omniguard.lanes" . | fromYaml -}}
{{- $_ := set $components (print "worker-" $lane) $values -}}
{{- end -}}
{{- if .Values.triton.enabled }}{{ $_ := set $components "triton" .Values.triton }}{{ end -}}
{{- if and .Values.probe.enabled .Values.workers.live.enabled }}{{ $_ := set $components "probe" .Values.probe }}{{ end -}}
{{- toYaml $components -}}
{{- end }}

{{/* A value as the environment has it: whole numbers without exponent, lists by commas, maps as JSON. */}}
{{- define "omniguard.text" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if kindIs "map" . }}{{ toJson . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end -}}
{{- end }}

{{/* A map as a container's env. */}}
{{- define "omniguard.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "omniguard.grpcService" -}}
{{ include "omniguard.fullname" . }}-triton-grpc.{{ .Release.Namespace }}.svc
{{- end }}

{{/* Ports at the ends of addresses by commas, as JSON; the last argument where there is none. Of dict addresses, default. */}}
{{- define "omniguard.ports" -}}
{{- $ports := list -}}
{{- range splitList "," .addresses -}}
{{- with regexFind ":[0-9]+$" (regexReplaceAll "^ *([a-z]+://)?([^/?#]*).*$" . "${2}" | trim) }}{{ $ports = append $ports (trimPrefix ":" . | int) }}{{ end -}}
{{- end -}}
{{- $ports | default (list .default) | uniq | toJson -}}
{{- end }}

{{/* A rule of a NetworkPolicy. Of dict to (peers; empty: any address), ports, udp (beside TCP). */}}
{{- define "omniguard.egress" -}}
- ports:
    {{- range .ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- if $.udp }}
    - {port: {{ . }}, protocol: UDP}
    {{- end }}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Partitions of a topic: a lane's as its values say, else as declared. Of dict root, topic. */}}
{{- define "omniguard.partitions" -}}
{{- $lanes := dict "content-events" "live" "content-events.backfill" "backfill" "content-events.late" "late" -}}
{{- $lane := get $lanes .topic.name -}}
{{- ternary (index .root.Values.workers ($lane | default "live")).partitions .topic.partitions (ne $lane "") | int -}}
{{- end }}
