"""What stands for the images of PHP: Debian's packages of 8.4, at the paths of the images.

https://github.com/docker-library/php: config is read from /usr/local/etc, extensions are
installed by docker-php-ext-install, servers run in the foreground and log to the container.
"""

from typing import Any

from vcr.lock.suggested.section import Suggestion, entrypoint, image, options_of

_VERSION = "8.4"
_CONFIG = "/usr/local/etc/php"
# What the images have, and packages of what Dockerfiles most often install: that is enabled by
# docker-php-ext-install, as in the images.
_ENABLED = (
    *("ctype", "curl", "fileinfo", "iconv", "mbstring", "mysqlnd", "pdo", "phar", "posix"),
    *("readline", "tokenizer", "xml", "dom", "simplexml", "xmlreader", "xmlwriter"),
    *("sqlite3", "pdo_sqlite"),
)
_PACKAGES = tuple(
    f"php-{name}"
    for name in (
        *("curl", "mbstring", "mysql", "sqlite3", "xml"),
        *("bcmath", "gd", "intl", "pgsql", "zip"),
    )
)
# PHP reads no other php.ini than that in PHPRC, and none of what Debian's scripts enable.
_ENV = {
    "PHP_INI_DIR": _CONFIG,
    "PHPRC": _CONFIG,
    "PHP_INI_SCAN_DIR": f"{_CONFIG}/debian:{_CONFIG}/conf.d",
}
_INSTALL = f"""\
#!/bin/sh
# The extensions are Debian's packages: enable those that are not yet.
directory=$(php -r 'echo ini_get("extension_dir");')
for name; do
  case $name in -* | [0-9]*) continue ;; esac
  kind=extension module=$name
  case $name in opcache | xdebug) kind=zend_extension ;; esac
  [ "$name" != opcache ] || module='zend opcache'
  if php -m | grep -qixF "$module"; then continue; fi
  if [ ! -e "$directory/$name.so" ]; then
    echo "$0: there is no $name: add its Debian package, such as php-$name, to [base]" >&2
    exit 1
  fi
  mkdir -p {_CONFIG}/conf.d
  echo "$kind=$name" > {_CONFIG}/conf.d/docker-php-ext-$name.ini
done
"""
_CONFIGURE = """\
#!/bin/sh
# Debian's packages are configured.
"""
_SOURCE = """\
#!/bin/sh
# Debian's packages are compiled: no source is needed.
"""
_BIN = "/usr/local/bin"
_FILES = {
    f"{_CONFIG}/php.ini": "",
    f"{_CONFIG}/debian/extensions.ini": "".join(f"extension={name}\n" for name in _ENABLED),
    f"{_BIN}/docker-php-ext-configure": _CONFIGURE,
    f"{_BIN}/docker-php-ext-install": _INSTALL,
    f"{_BIN}/docker-php-source": _SOURCE,
}
_LINKS = {f"{_BIN}/docker-php-ext-enable": "docker-php-ext-install"} | {
    f"{_CONFIG}/php.ini-{kind}": f"/usr/lib/php/{_VERSION}/php.ini-{kind}"
    for kind in ("development", "production")
}
# What is enabled; a2enmod adds to it.
_MODULES = (
    *("access_compat.load", "alias.load", "alias.conf", "auth_basic.load", "authn_core.load"),
    *("authn_file.load", "authz_core.load", "authz_host.load", "authz_user.load"),
    *("autoindex.load", "autoindex.conf", "deflate.load", "deflate.conf", "dir.load", "dir.conf"),
    *("env.load", "filter.load", "mime.load", "mime.conf", "mpm_prefork.load", "mpm_prefork.conf"),
    *("negotiation.load", "negotiation.conf", f"php{_VERSION}.load", f"php{_VERSION}.conf"),
    *("reqtimeout.load", "reqtimeout.conf", "setenvif.load", "setenvif.conf"),
)
_LOADED = "".join(f"Include mods-available/{name}\n" for name in _MODULES)
_APACHE = """\
<FilesMatch \\.php$>
  SetHandler application/x-httpd-php
</FilesMatch>

DirectoryIndex disabled
DirectoryIndex index.php index.html

<Directory /var/www/>
  Options -Indexes
  AllowOverride All
</Directory>
"""
_FOREGROUND = """\
#!/bin/sh
set -e
. /etc/apache2/envvars
mkdir -p "$APACHE_RUN_DIR" "$APACHE_LOCK_DIR"
rm -f "$APACHE_PID_FILE"
exec apache2 -DFOREGROUND "$@"
"""
_FPM = """\
[global]
error_log = /proc/self/fd/2
include = /usr/local/etc/php-fpm.d/*.conf
"""
_POOL = """\
[www]
user = www-data
group = www-data
listen = 127.0.0.1:9000
pm = dynamic
pm.max_children = 5
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
"""
_POOL_LOG = """\
[www]
access.log = /proc/self/fd/2
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
"""
_POOL_LISTENS = """\
[global]
daemonize = no

[www]
listen = 9000
"""


def _php(
    *packages: str, program: str, links: dict[str, str], files: dict[str, str], **keys: Any
) -> Suggestion:
    """Return the suggestion of an image that runs PROGRAM."""
    start = entrypoint(options_of(program), "docker-php-entrypoint")
    beside = {**_FILES, **start.pop("files"), **files}
    return image(
        "php-cli",
        *packages,
        *_PACKAGES,
        env=_ENV,
        **start,
        **keys,
        links={**_LINKS, **links},
        files=beside,
        version=_VERSION,
    )


CLI = _php(program="php", cmd=("php", "-a"), links={}, files={})
APACHE = _php(
    "apache2",
    "libapache2-mod-php",
    program="apache2-foreground",
    cmd=("apache2-foreground",),
    workdir="/var/www/html",
    ports=(80,),
    stop_signal="SIGWINCH",
    links={
        "/var/log/apache2/access.log": "/dev/stdout",
        "/var/log/apache2/error.log": "/dev/stderr",
        "/var/log/apache2/other_vhosts_access.log": "/dev/stdout",
        "/etc/apache2/sites-enabled/000-default.conf": "../sites-available/000-default.conf",
    },
    files={
        "/etc/apache2/conf-enabled/docker-php.conf": _APACHE,
        "/etc/apache2/mods-enabled/docker.load": _LOADED,
        "/usr/local/bin/apache2-foreground": _FOREGROUND,
    },
)
FPM = _php(
    "php-fpm",
    program="php-fpm",
    cmd=("php-fpm",),
    workdir="/var/www/html",
    ports=(9000,),
    stop_signal="SIGQUIT",
    links={"/usr/local/sbin/php-fpm": f"/usr/sbin/php-fpm{_VERSION}"},
    files={
        f"/etc/php/{_VERSION}/fpm/php-fpm.conf": _FPM,
        "/usr/local/etc/php-fpm.d/docker.conf": _POOL_LOG,
        "/usr/local/etc/php-fpm.d/www.conf": _POOL,
        "/usr/local/etc/php-fpm.d/zz-docker.conf": _POOL_LISTENS,
    },
)
