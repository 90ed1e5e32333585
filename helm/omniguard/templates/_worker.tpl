{{/* Environment of a worker, as YAML of a map: what values set, and `settings` beside it. Of dict root, lane, values. */}}
{{- define "omniguard.workerEnv" -}}
{{- $values := .root.Values -}}
{{- $env := dict
  "OMNIGUARD_WORKER__LANE" .lane
  "OMNIGUARD_WORKER__WINDOW_EVENTS" (include "omniguard.text" .values.windowEvents)
  "OMNIGUARD_WORKER__WINDOW_BYTES" (include "omniguard.text" .values.windowBytes)
  "OMNIGUARD_WORKER__DRAIN_TIMEOUT" (include "omniguard.text" .values.drainTimeout)
  "OMNIGUARD_WORKER__SANDBOX_REQUIRED" (join "," .values.sandboxRequired)
  "OMNIGUARD_WORKER__MEDIA_FOLDER" "/var/lib/omniguard/media"
  "OMNIGUARD_WORKER__STATE_FOLDER" "/var/lib/omniguard/state"
  "OMNIGUARD_WORKER__HEALTH_HOST" "0.0.0.0"
  "OMNIGUARD_WORKER__HEALTH_PORT" "8080"
  "OMNIGUARD_POLICY__TENANTS" "/etc/omniguard/policy/tenants.yaml"
  "OMNIGUARD_TELEMETRY__LOG_LEVEL" $values.telemetry.logLevel
  "OMNIGUARD_TRITON__ADDRESSES" (ternary (print (include "omniguard.grpcService" .root) ":8001") $values.triton.externalAddresses $values.triton.enabled)
-}}
{{- if $values.policy.calibration }}{{ $_ := set $env "OMNIGUARD_POLICY__CALIBRATION" "/etc/omniguard/policy/calibration.json" }}{{ end -}}
{{- with $values.telemetry.otlpEndpoint }}{{ $_ := set $env "OMNIGUARD_TELEMETRY__OTLP_ENDPOINT" . }}{{ end -}}
{{- with $values.cascade }}{{ if .model }}
{{- $_ := set $env "OMNIGUARD_CASCADE__MODEL" .model }}
{{- $_ := set $env "OMNIGUARD_CASCADE__SALT_FILE" "/etc/omniguard/cascade/salt" }}
{{- with .addresses }}{{ $_ := set $env "OMNIGUARD_CASCADE__ADDRESSES" . }}{{ end }}
{{- end }}{{ end -}}
{{- with $values.redis -}}
{{- $set := or .url .keys.url -}}
{{- with .url }}{{ $_ := set $env "OMNIGUARD_REDIS__URL" . }}{{ end -}}
{{- if .keys.url }}{{ $_ := set $env "OMNIGUARD_REDIS__URL_FILE" "/etc/omniguard/redis/url" }}{{ end -}}
{{- with .username }}{{ $_ := set $env "OMNIGUARD_REDIS__USERNAME" . }}{{ end -}}
{{- if and .existingSecret .keys.password (not .keys.url) }}{{ $_ := set $env "OMNIGUARD_REDIS__PASSWORD_FILE" "/etc/omniguard/redis/password" }}{{ end -}}
{{- if .ca.existingSecret }}{{ $_ := set $env "OMNIGUARD_REDIS__CA_FILE" "/etc/omniguard/redis/ca.crt" }}{{ end -}}
{{- if .clientCertificate.existingSecret -}}
{{- $_ := set $env "OMNIGUARD_REDIS__CERT_FILE" "/etc/omniguard/redis/tls.crt" -}}
{{- $_ := set $env "OMNIGUARD_REDIS__KEY_FILE" "/etc/omniguard/redis/tls.key" -}}
{{- end -}}
{{- if $set -}}
{{- $_ := set $env "OMNIGUARD_REDIS__CHECK_HOSTNAME" (toString .checkHostname) -}}
{{- $_ := set $env "OMNIGUARD_REDIS__CLUSTER" (toString .cluster) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := $values.objectStore.credentials -}}
{{- $prefix := printf "OMNIGUARD_S3__%s__" (upper $name) -}}
{{- $_ := set $env (print $prefix "SECRET_ACCESS_KEY_FILE") (printf "/etc/omniguard/s3/%s/secret-access-key" $name) -}}
{{- if .sessionTokenKey }}{{ $_ := set $env (print $prefix "SESSION_TOKEN_FILE") (printf "/etc/omniguard/s3/%s/session-token" $name) }}{{ end -}}
{{- end -}}
{{- $env = merge $env (include "omniguard.tritonClientEnv" .root | fromYaml) -}}
{{- range $group, $settings := mergeOverwrite (deepCopy $values.settings) (deepCopy .values.settings) -}}
{{- range $name, $value := $settings -}}
{{- $variable := printf "OMNIGUARD_%s__%s" (upper $group) (upper $name) -}}
{{- $elsewhere := list "OMNIGUARD_TELEMETRY__OTLP_ENDPOINT" "OMNIGUARD_CASCADE__MODEL" "OMNIGUARD_CASCADE__ADDRESSES" -}}
{{- if or (hasKey $env $variable) (has $variable $elsewhere) (regexMatch "PASSWORD|SECRET|_VALUE$|SALT$" $variable) (and (eq $group "kafka") (not (has $name (list "compression" "max_message_bytes" "session_timeout" "unknown_topic_seconds")))) -}}
{{- fail (printf "settings.%s.%s: found a setting that values of this chart make; expected others only: see kafka, redis, triton, policy, telemetry and workers in README.md" $group $name) -}}
{{- end -}}
{{- $_ := set $env $variable (include "omniguard.text" $value) -}}
{{- end -}}
{{- end -}}
{{- toYaml $env -}}
{{- end }}

{{/* Of whoever asks Triton: TLS and the value of restricted protocols. YAML of a map. */}}
{{- define "omniguard.tritonClientEnv" -}}
{{- $triton := .Values.triton -}}
{{- $env := dict -}}
{{- if $triton.tls.existingSecret -}}
{{- $_ := set $env "OMNIGUARD_TRITON__TLS" "true" -}}
{{- $_ := set $env "OMNIGUARD_TRITON__CA_FILE" "/etc/omniguard/triton/ca.crt" -}}
{{- if $triton.tls.mutual -}}
{{- $_ := set $env "OMNIGUARD_TRITON__CERT_FILE" "/etc/omniguard/triton/tls.crt" -}}
{{- $_ := set $env "OMNIGUARD_TRITON__KEY_FILE" "/etc/omniguard/triton/tls.key" -}}
{{- end -}}
{{- end -}}
{{- if $triton.restricted.existingSecret }}{{ $_ := set $env "OMNIGUARD_TRITON__RESTRICTED_VALUE_FILE" "/etc/omniguard/triton/value" }}{{ end -}}
{{- toYaml $env -}}
{{- end }}

{{/* The files of the same, as sources of a volume; `admin` adds what the supervisor alone has. Of dict root, admin. */}}
{{- define "omniguard.tritonClientVolume" -}}
{{- $triton := .root.Values.triton -}}
{{- $sources := list -}}
{{- with $triton.tls -}}
{{- if .existingSecret }}{{ $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" (list (dict "key" .ca "path" "ca.crt")))) }}{{ end -}}
{{- if and .existingSecret .mutual -}}
{{- $pair := list (dict "key" .certificate "path" "tls.crt") (dict "key" .privateKey "path" "tls.key") -}}
{{- $sources = append $sources (dict "secret" (dict "name" .clientSecret "items" $pair)) -}}
{{- end -}}
{{- end -}}
{{- with $triton.restricted -}}
{{- if .existingSecret -}}
{{- $values := list (dict "key" .valueKey "path" "value") -}}
{{- if $.admin }}{{ $values = append $values (dict "key" .adminValueKey "path" "admin-value") }}{{ end -}}
{{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" $values)) -}}
{{- end -}}
{{- end -}}
{{- include "omniguard.secretFiles" (dict "name" "triton" "sources" $sources) -}}
{{- end }}

{{/* Volumes of a worker that hold files from secrets. Of dict root, component, own. */}}
{{- define "omniguard.workerSecrets" -}}
{{- $values := .root.Values -}}
{{- include "omniguard.kafkaVolume" . -}}
{{- $redis := list -}}
{{- with $values.redis -}}
{{- $own := list -}}
{{- if .keys.url }}{{ $own = append $own (dict "key" .keys.url "path" "url") }}{{ else if .keys.password }}{{ $own = append $own (dict "key" .keys.password "path" "password") }}{{ end -}}
{{- if and .existingSecret $own }}{{ $redis = append $redis (dict "secret" (dict "name" .existingSecret "items" $own)) }}{{ end -}}
{{- if .ca.existingSecret }}{{ $redis = append $redis (dict "secret" (dict "name" .ca.existingSecret "items" (list (dict "key" .ca.key "path" "ca.crt")))) }}{{ end -}}
{{- with .clientCertificate }}{{ if .existingSecret -}}
{{- $redis = append $redis (dict "secret" (dict "name" .existingSecret "items" (list (dict "key" .certificate "path" "tls.crt") (dict "key" .privateKey "path" "tls.key")))) -}}
{{- end }}{{ end -}}
{{- end -}}
{{- include "omniguard.secretFiles" (dict "name" "redis" "sources" $redis) -}}
{{- $s3 := list -}}
{{- range $name, $keys := $values.objectStore.credentials -}}
{{- $items := list (dict "key" ($keys.secretAccessKeyKey | default "secret-access-key") "path" (print $name "/secret-access-key")) -}}
{{- with $keys.sessionTokenKey }}{{ $items = append $items (dict "key" . "path" (print $name "/session-token")) }}{{ end -}}
{{- $s3 = append $s3 (dict "secret" (dict "name" $keys.existingSecret "items" $items)) -}}
{{- end -}}
{{- include "omniguard.secretFiles" (dict "name" "s3" "sources" $s3) -}}
{{- if $values.cascade.model -}}
{{- $salt := list (dict "key" $values.cascade.saltKey "path" "salt") -}}
{{- include "omniguard.secretFiles" (dict "name" "cascade" "sources" (list (dict "secret" (dict "name" $values.cascade.existingSecret "items" $salt)))) -}}
{{- end -}}
{{- include "omniguard.tritonClientVolume" .  -}}
{{- end }}
