"""What stands for the images of SQL databases, with what their entrypoints make at first.

The variables, and /docker-entrypoint-initdb.d, mean what they mean in the images:
https://github.com/docker-library/postgres and https://github.com/MariaDB/mariadb-docker
"""

from dataclasses import replace

from vcr.lock.suggested.section import UTF8, image, path

# Both: NAME may stand in the file that NAME_FILE names; scripts are sourced unless executable.
_SHARED = """\
from_file() { # NAME
  file=$(printenv "$1_FILE" || true)
  if [ -n "$file" ]; then export "$1=$(cat "$file")"; fi
}
initialize() { # FILE, which is of /docker-entrypoint-initdb.d
  case $1 in
    *.sh) echo "running $1"; if [ -x "$1" ]; then "$1"; else . "$1"; fi ;;
    *.sql) echo "running $1"; sql < "$1" ;;
    *.sql.gz) echo "running $1"; gzip -dc "$1" | sql ;;
    *.sql.xz) echo "running $1"; xz -dc "$1" | sql ;;
    *.sql.zst) echo "running $1"; zstd -dc "$1" | sql ;;
    *) echo "ignoring $1" ;;
  esac
}
"""
_POSTGRES = f"""\
#!/bin/bash
set -e
{_SHARED}
sql() {{
  psql --no-password --no-psqlrc -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"
}}
case ${{1:-}} in '' | -*) set -- postgres "$@" ;; esac
[ "$1" = postgres ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /run/postgresql
  chown -R postgres "$PGDATA" /run/postgresql
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
export HOME=/var/lib/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  for name in PASSWORD USER DB INITDB_ARGS; do from_file "POSTGRES_$name"; done
  export POSTGRES_USER=${{POSTGRES_USER:-postgres}}
  export POSTGRES_DB=${{POSTGRES_DB:-$POSTGRES_USER}}
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo "error: there is no database yet, and POSTGRES_PASSWORD is not set for its superuser" >&2
    exit 1
  fi
  words=()
  [ -z "$POSTGRES_INITDB_WALDIR" ] || words+=(--waldir="$POSTGRES_INITDB_WALDIR")
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\\n" "$POSTGRES_PASSWORD")' \\
    '"${{words[@]}}"' "$POSTGRES_INITDB_ARGS"
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
  echo "host all all all ${{POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}}" >> "$PGDATA/pg_hba.conf"
  export PGPASSWORD=$POSTGRES_PASSWORD
  options=("${{@:2}}" -c listen_addresses= -p "${{PGPORT:-5432}}")
  pg_ctl -o "$(printf '%q ' "${{options[@]}}")" -w start
  [ "$POSTGRES_DB" = postgres ] || createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  for file in /docker-entrypoint-initdb.d/*; do [ ! -e "$file" ] || initialize "$file"; done
  pg_ctl -m fast -w stop
  unset PGPASSWORD
  echo "PostgreSQL init process complete; ready for start up."
fi
exec "$@"
"""
POSTGRES = image(
    "postgresql",
    "util-linux",
    *("xz-utils", "zstd"),
    env={**UTF8, "PGDATA": "/var/lib/postgresql/data", **path("/usr/lib/postgresql/17/bin")},
    entrypoint=("docker-entrypoint.sh",),
    cmd=("postgres",),
    ports=(5432,),
    stop_signal="SIGINT",
    users={"postgres": 999},
    files={"/usr/local/bin/docker-entrypoint.sh": _POSTGRES},
    version="17",
)

_MARIADB = f"""\
#!/bin/bash
set -e
{_SHARED}
socket=/run/mysqld/mysqld.sock
sql() {{ mariadb --protocol=socket -u root --database="$MARIADB_DATABASE"; }}
text() {{ printf "'%s'" "$(printf %s "$1" | sed "s/[\\\\\\\\']/\\\\\\\\&/g")"; }}
case ${{1:-}} in '' | -*) set -- mariadbd "$@" ;; esac
case $1 in mariadbd | mysqld) ;; *) exec "$@" ;; esac
if [ "$(id -u)" = 0 ]; then
  mkdir -p /run/mysqld /var/lib/mysql
  chown -R mysql /run/mysqld /var/lib/mysql
  exec setpriv --reuid=mysql --regid=mysql --clear-groups "$0" "$@"
fi
if [ ! -d /var/lib/mysql/mysql ]; then
  for name in ROOT_PASSWORD ROOT_HOST ALLOW_EMPTY_ROOT_PASSWORD ALLOW_EMPTY_PASSWORD \\
    RANDOM_ROOT_PASSWORD DATABASE USER PASSWORD; do
    from_file "MYSQL_$name"
    from_file "MARIADB_$name"
    variable=MARIADB_$name other=MYSQL_$name
    export "$variable=${{!variable:-${{!other}}}}"
  done
  empty=$MARIADB_ALLOW_EMPTY_ROOT_PASSWORD$MARIADB_ALLOW_EMPTY_PASSWORD
  if [ -n "$MARIADB_RANDOM_ROOT_PASSWORD" ]; then
    MARIADB_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
    echo "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
  elif [ -z "$MARIADB_ROOT_PASSWORD$empty" ]; then
    echo "error: there is no database yet, and its root has no password: set one of" \\
      "MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD, MARIADB_RANDOM_ROOT_PASSWORD" >&2
    exit 1
  fi
  mariadb-install-db --skip-test-db --auth-root-authentication-method=normal
  "$@" --skip-networking --socket=$socket &
  server=$!
  until mariadb-admin --protocol=socket -u root ping > /dev/null 2>&1; do
    kill -0 $server
    sleep 0.3
  done
  if [ -n "$MARIADB_DATABASE" ]; then
    echo "CREATE DATABASE IF NOT EXISTS \\`$MARIADB_DATABASE\\`;" | mariadb -u root
  fi
  if [ -n "$MARIADB_USER" ]; then
    {{
      echo "CREATE USER $(text "$MARIADB_USER")@'%' IDENTIFIED BY $(text "$MARIADB_PASSWORD");"
      [ -z "$MARIADB_DATABASE" ] ||
        echo "GRANT ALL ON \\`${{MARIADB_DATABASE//_/\\\\_}}\\`.* TO $(text "$MARIADB_USER")@'%';"
    }} | mariadb -u root
  fi
  for file in /docker-entrypoint-initdb.d/*; do [ ! -e "$file" ] || initialize "$file"; done
  password=$(text "$MARIADB_ROOT_PASSWORD")
  mariadb -u root << SQL
DROP USER IF EXISTS root@'127.0.0.1', root@'::1';
EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@\\'', @@hostname, '\\'');
CREATE OR REPLACE USER root@$(text "${{MARIADB_ROOT_HOST:-%}}") IDENTIFIED BY $password;
GRANT ALL ON *.* TO root@$(text "${{MARIADB_ROOT_HOST:-%}}") WITH GRANT OPTION;
ALTER USER root@localhost IDENTIFIED BY $password;
SQL
  kill $server
  wait $server || true
  echo "MariaDB init process done. Ready for start up."
fi
exec "$@"
"""
# The image has a user that may ask. Here the server has to answer, if only that it must not.
_HEALTHCHECK = """\
#!/bin/sh
mariadb-admin --protocol=socket ping 2>&1 | grep -e "is alive" -e "Access denied"
"""
MARIADB = image(
    *("mariadb-server-core", "mariadb-client"),
    "util-linux",
    *("xz-utils", "zstd"),
    env=UTF8,
    entrypoint=("docker-entrypoint.sh",),
    cmd=("mariadbd",),
    ports=(3306,),
    users={"mysql": 999},
    links={"/etc/mysql/my.cnf": "mariadb.cnf"},  # that includes conf.d and mariadb.conf.d
    files={
        "/etc/mysql/mariadb.conf.d/50-docker.cnf": "[mariadbd]\nhost-cache-size = 0\n"
        "skip-name-resolve\nsocket = /run/mysqld/mysqld.sock\n",
        "/usr/local/bin/docker-entrypoint.sh": _MARIADB,
        "/usr/local/bin/healthcheck.sh": _HEALTHCHECK,
    },
    version="11.8",
)
MYSQL = replace(MARIADB, version="MariaDB 11.8")
