"""What stands for the images of web servers: their configuration, logs and users, too."""

from typing import Any

from vcr.lock.suggested.section import Suggestion, image

# https://github.com/nginx/docker-nginx: what is served without an own configuration.
_SITE = """\
server {
    listen 80;
    server_name localhost;

    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }
}
"""
# /docker-entrypoint.d, and templates in whose text variables of the environment stand.
_ENTRYPOINT = """\
#!/bin/sh
set -e
case ${1:-} in
  nginx | nginx-debug)
    for file in $(find /docker-entrypoint.d/ -follow -type f | sort -V); do
      case $file in
        *.envsh) [ ! -x "$file" ] || . "$file" ;;
        *.sh) [ ! -x "$file" ] || "$file" ;;
      esac
    done ;;
esac
exec "$@"
"""
_TEMPLATES = """\
#!/bin/sh
set -e
templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
[ -d "$templates" ] || exit 0
names=$(awk 'END {
  for (name in ENVIRON) if (name ~ ENVIRON["NGINX_ENVSUBST_FILTER"]) print "${" name "}"
}' < /dev/null)
find "$templates" -follow -type f -name "*$suffix" | while read -r template; do
  name=${template#"$templates/"}
  mkdir -p "$(dirname "$output/$name")"
  echo "$0: ${name%"$suffix"} is made of $template"
  envsubst "$names" < "$template" > "$output/${name%"$suffix"}"
done
"""


# https://github.com/nginx/docker-nginx-unprivileged: what it writes is where all users may write.
_UNPRIVILEGED = """\
worker_processes auto;
error_log /var/log/nginx/error.log notice;
pid /tmp/nginx.pid;
include /etc/nginx/modules-enabled/*.conf;
events {}
http {
    client_body_temp_path /tmp/client_temp;
    proxy_temp_path /tmp/proxy_temp;
    fastcgi_temp_path /tmp/fastcgi_temp;
    uwsgi_temp_path /tmp/uwsgi_temp;
    scgi_temp_path /tmp/scgi_temp;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /var/log/nginx/access.log;
    sendfile on;
    include /etc/nginx/conf.d/*.conf;
}
"""


def _nginx(port: int, files: dict[str, str], **keys: Any) -> Suggestion:
    """Return the suggestion of an image that listens at PORT, with more FILES and KEYS."""
    return image(
        "nginx-light",
        "gettext-base",
        entrypoint=("/docker-entrypoint.sh",),
        cmd=("nginx", "-g", "daemon off;"),
        **keys,
        ports=(port,),
        stop_signal="SIGQUIT",
        users={"nginx": 101},
        links={
            "/var/log/nginx/access.log": "/dev/stdout",
            "/var/log/nginx/error.log": "/dev/stderr",
        },
        files={
            "/docker-entrypoint.sh": _ENTRYPOINT,
            "/docker-entrypoint.d/20-envsubst-on-templates.sh": _TEMPLATES,
            "/etc/nginx/conf.d/default.conf": _SITE.replace("listen 80", f"listen {port}"),
            **files,
        },
        version="1.26",
    )


NGINX = _nginx(80, {})
NGINX_UNPRIVILEGED = _nginx(8080, {"/etc/nginx/nginx.conf": _UNPRIVILEGED}, user="nginx")

# https://github.com/docker-library/httpd: the same paths.
_HTTPD = "/usr/local/apache2"
_MODULES = (
    *("mpm_event", "alias", "authz_core", "authz_host", "autoindex", "dir", "env", "filter"),
    *("headers", "mime", "reqtimeout", "setenvif"),
)
_LOADED = "".join(f"LoadModule {name}_module modules/mod_{name}.so\n" for name in _MODULES)
_HTTPD_CONF = f"""\
ServerRoot "{_HTTPD}"
ServerName localhost
Listen 80
PidFile /run/httpd.pid
{_LOADED}
User www-data
Group www-data

TypesConfig conf/mime.types
DocumentRoot "{_HTTPD}/htdocs"
DirectoryIndex index.html

<Directory />
    AllowOverride none
    Require all denied
</Directory>
<Directory "{_HTTPD}/htdocs">
    Options Indexes FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
<Files ".ht*">
    Require all denied
</Files>

ErrorLog /proc/self/fd/2
LogLevel warn
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
CustomLog /proc/self/fd/1 common
"""
_FOREGROUND = f"""\
#!/bin/sh
rm -f /run/httpd.pid
exec apache2 -f {_HTTPD}/conf/httpd.conf -DFOREGROUND "$@"
"""
HTTPD = image(
    "apache2-bin",
    "media-types",
    cmd=("httpd-foreground",),
    workdir=_HTTPD,
    ports=(80,),
    stop_signal="SIGWINCH",
    links={
        f"{_HTTPD}/conf/mime.types": "/etc/mime.types",
        f"{_HTTPD}/modules": "/usr/lib/apache2/modules",
    },
    files={
        f"{_HTTPD}/conf/httpd.conf": _HTTPD_CONF,
        f"{_HTTPD}/htdocs/index.html": "<html><body><h1>It works!</h1></body></html>\n",
        "/usr/local/bin/httpd-foreground": _FOREGROUND,
    },
    version="2.4",
)

CADDY = image(
    "caddy",
    env={"XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"},
    cmd=("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"),
    workdir="/srv",
    ports=(80, 443, 2019),
    version="2.6",
)
