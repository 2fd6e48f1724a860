"""What stands for the images of web servers: their configuration, logs and users, too."""

from vcr.lock.suggested.section import image

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
NGINX = image(
    "nginx-light",
    cmd=("nginx", "-g", "daemon off;"),
    ports=(80,),
    stop_signal="SIGQUIT",
    users={"nginx": 101},
    links={
        "/var/log/nginx/access.log": "/dev/stdout",
        "/var/log/nginx/error.log": "/dev/stderr",
    },
    files={"/etc/nginx/conf.d/default.conf": _SITE},
)

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
)

CADDY = image(
    "caddy",
    env={"XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"},
    cmd=("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"),
    workdir="/srv",
    ports=(80, 443, 2019),
)
