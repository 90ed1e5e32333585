{{/* Which account a component logs in with. Of dict root, component, own (its username and existingSecret). YAML of a map. */}}
{{- define "omniguard.login" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $user := printf "%s-%s" (include "omniguard.fullname" .root) .component -}}
{{- $strimzi := and .root.Values.strimzi.users (not .own.existingSecret) -}}
{{- $keys := ternary (dict "username" "" "password" "password" "certificate" "user.crt" "privateKey" "user.key") $kafka.keys $strimzi -}}
sasl: {{ hasPrefix "SASL" $kafka.securityProtocol }}
tls: {{ hasSuffix "SSL" $kafka.securityProtocol }}
certificate: {{ $kafka.clientCertificate }}
secret: {{ .own.existingSecret | default (ternary $user $kafka.existingSecret $strimzi) | quote }}
username: {{ .own.username | default (ternary $user $kafka.username $strimzi) | quote }}
keys: {{ toJson $keys }}
{{- end }}

{{/* Environment for the brokers. Of dict root, component, own, and volume (what its files are mounted as). */}}
{{- define "omniguard.kafkaEnv" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $login := include "omniguard.login" . | fromYaml -}}
{{- $folder := printf "/etc/omniguard/%s" (.volume | default "kafka") -}}
{{- $env := dict "OMNIGUARD_KAFKA__BOOTSTRAP" $kafka.bootstrap "OMNIGUARD_KAFKA__SECURITY_PROTOCOL" $kafka.securityProtocol -}}
{{- with $kafka.topicPrefix }}{{ $_ := set $env "OMNIGUARD_KAFKA__TOPIC_PREFIX" . }}{{ end -}}
{{- if $login.sasl }}
{{- $_ := set $env "OMNIGUARD_KAFKA__SASL_MECHANISM" $kafka.saslMechanism }}
{{- $_ := set $env "OMNIGUARD_KAFKA__PASSWORD_FILE" (print $folder "/password") }}
{{- with $login.username }}{{ $_ := set $env "OMNIGUARD_KAFKA__USERNAME" . }}{{ end }}
{{- end }}
{{- if $login.tls }}
{{- $_ := set $env "OMNIGUARD_KAFKA__CHECK_HOSTNAME" (toString $kafka.checkHostname) }}
{{- if $kafka.ca.existingSecret }}{{ $_ := set $env "OMNIGUARD_KAFKA__CA_FILE" (print $folder "/ca.crt") }}{{ end }}
{{- if $login.certificate }}
{{- $_ := set $env "OMNIGUARD_KAFKA__CERT_FILE" (print $folder "/tls.crt") }}
{{- $_ := set $env "OMNIGUARD_KAFKA__KEY_FILE" (print $folder "/tls.key") }}
{{- end }}
{{- end }}
{{- include "omniguard.env" $env }}
{{- if and $login.sasl (not $login.username) }}
- name: OMNIGUARD_KAFKA__USERNAME
  valueFrom: {secretKeyRef: {name: {{ $login.secret | quote }}, key: {{ $login.keys.username | quote }}}}
{{- end }}
{{- end }}

{{/* The files of the same, as a volume; nothing where there are none. */}}
{{- define "omniguard.kafkaVolume" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $login := include "omniguard.login" . | fromYaml -}}
{{- $own := list -}}
{{- if $login.sasl }}{{ $own = append $own (dict "key" $login.keys.password "path" "password") }}{{ end -}}
{{- if and $login.tls $login.certificate -}}
{{- $own = concat $own (list (dict "key" $login.keys.certificate "path" "tls.crt") (dict "key" $login.keys.privateKey "path" "tls.key")) -}}
{{- end -}}
{{- $sources := list -}}
{{- with $own }}{{ $sources = append $sources (dict "secret" (dict "name" $login.secret "items" .)) }}{{ end -}}
{{- if and $login.tls $kafka.ca.existingSecret -}}
{{- $ca := list (dict "key" $kafka.ca.key "path" "ca.crt") -}}
{{- $sources = append $sources (dict "secret" (dict "name" $kafka.ca.existingSecret "items" $ca)) -}}
{{- end -}}
{{- include "omniguard.secretFiles" (dict "name" (.volume | default "kafka") "sources" $sources) -}}
{{- end }}

{{/* A volume of files from secrets. Of dict name, sources; nothing where there are none. */}}
{{- define "omniguard.secretFiles" -}}
{{- with .sources }}
- name: {{ $.name }}
  projected:
    defaultMode: 0440
    sources:
      {{- toYaml . | nindent 6 }}
{{- end }}
{{- end }}

{{/* Mounts of those volumes among a list of volumes (its text) that hold files from secrets. */}}
{{- define "omniguard.secretMounts" -}}
{{- range fromYamlArray . }}
{{- if .projected }}
- name: {{ .name }}
  mountPath: /etc/omniguard/{{ .name }}
  readOnly: true
{{- end }}
{{- end }}
{{- end }}
