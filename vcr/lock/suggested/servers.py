"""What stands for the images of servers that keep or pass on data: caches, queues, proxies."""

from vcr.lock.suggested.section import UTF8, Suggestion, entrypoint, image, options_of, path

# https://github.com/docker-library/haproxy: the first word may be an option; in the foreground.
_HAPROXY = """\
#!/bin/sh
case ${1:-} in
  '' | -*) set -- haproxy "$@" ;;
esac
if [ "$1" = haproxy ]; then
  shift
  set -- haproxy -W -db "$@"
fi
exec "$@"
"""
HAPROXY = image(
    "haproxy",
    entrypoint=("docker-entrypoint.sh",),
    cmd=("haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"),
    user="haproxy",
    workdir="/var/lib/haproxy",
    stop_signal="SIGUSR1",
    users={"haproxy": 99},
    files={"/usr/local/bin/docker-entrypoint.sh": _HAPROXY},
    version="3.0",
)

# It refuses to start as root.
MEMCACHED = image(
    "memcached",
    **entrypoint(options_of("memcached")),
    cmd=("memcached",),
    user="memcache",
    ports=(11211,),
    users={"memcache": 11211},
    version="1.6",
)

# https://github.com/eclipse-mosquitto/mosquitto/tree/master/docker
MOSQUITTO = image(
    "mosquitto",
    cmd=("/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"),
    ports=(1883,),
    users={"mosquitto": 1883},
    files={
        "/mosquitto/config/mosquitto.conf": "",
        "/mosquitto-no-auth.conf": "listener 1883\nallow_anonymous true\n",
    },
    version="2.0",
)

# https://github.com/nats-io/nats-docker
NATS = image(
    "nats-server",
    entrypoint=("nats-server",),
    cmd=("--config", "/etc/nats/nats-server.conf"),
    ports=(4222, 8222, 6222),
    files={"/etc/nats/nats-server.conf": "port: 4222\nmonitor_port: 8222\n"},
    version="2.10",
)

PROMETHEUS = image(
    "prometheus",
    entrypoint=("/bin/prometheus",),
    cmd=("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"),
    ports=(9090,),
    files={
        "/etc/prometheus/prometheus.yml": "global:\n  scrape_interval: 15s\nscrape_configs:\n"
        '  - job_name: "prometheus"\n    static_configs:\n      - targets: ["localhost:9090"]\n'
    },
    version="2.53",
)

# https://github.com/docker-library/rabbitmq: the server itself reads RABBITMQ_DEFAULT_USER etc.
_RABBITMQ_ENTRYPOINT = """\
#!/bin/sh
set -e
case ${1:-} in
  rabbitmq*) [ "$(id -u)" != 0 ] || {
    mkdir -p /var/lib/rabbitmq /var/log/rabbitmq
    chown -R rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
    exec setpriv --reuid=rabbitmq --regid=rabbitmq --clear-groups "$0" "$@"
  } ;;
esac
exec "$@"
"""
_RABBITMQ_CONF = "loopback_users.guest = false\nlog.console = true\n"
_RABBITMQ_ENV = {
    **UTF8,
    "HOME": "/var/lib/rabbitmq",
    "RABBITMQ_LOGS": "-",
    **path("/usr/lib/rabbitmq/bin"),
}


def _rabbitmq(plugins: str, *ports: int) -> Suggestion:
    return image(
        "rabbitmq-server",
        "util-linux",
        env=_RABBITMQ_ENV,
        entrypoint=("docker-entrypoint.sh",),
        cmd=("rabbitmq-server",),
        ports=(5672, *ports),
        users={"rabbitmq": 999},
        files={
            "/etc/rabbitmq/conf.d/10-defaults.conf": _RABBITMQ_CONF,
            "/etc/rabbitmq/enabled_plugins": f"[{plugins}].\n",
            "/usr/local/bin/docker-entrypoint.sh": _RABBITMQ_ENTRYPOINT,
        },
        version="4.0",
    )


RABBITMQ = _rabbitmq("rabbitmq_prometheus", 15692)
RABBITMQ_MANAGEMENT = _rabbitmq("rabbitmq_management,rabbitmq_prometheus", 15692, 15672)


# https://github.com/docker-library/redis: options, or a file of them, are the server's.
_REDIS = """\
#!/bin/sh
case ${1:-} in -* | *.conf) set -- NAME-server "$@" ;; esac
if [ "$1" = NAME-server ]; then
  shift
  set -- NAME-server "$@" --protected-mode no
fi
exec "$@"
"""


def _redis(name: str, version: str) -> Suggestion:
    """Return the suggestion for NAME, Redis or what continues it.

    The images are built without protected mode, which answers only its own container.
    """
    return image(
        f"{name}-server",
        **entrypoint(_REDIS.replace("NAME", name)),
        cmd=(f"{name}-server",),
        workdir="/data",
        ports=(6379,),
        users={name: 999},
        version=version,
    )


REDIS, VALKEY = _redis("redis", "8.0"), _redis("valkey", "8.1")

# https://github.com/distribution/distribution-library-image
_REGISTRY = """\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
"""
REGISTRY = image(
    "docker-registry",
    "ca-certificates",
    entrypoint=("registry",),
    cmd=("serve", "/etc/docker/registry/config.yml"),
    ports=(5000,),
    links={"/usr/local/bin/registry": "/usr/bin/docker-registry"},
    files={"/etc/docker/registry/config.yml": _REGISTRY},
    version="2.8",
)

_HOME = "/usr/local/tomcat"


def _tomcat(major: str, version: str) -> Suggestion:
    there = f"/usr/share/tomcat{major}"
    return image(
        f"tomcat{major}-user",
        "default-jdk-headless",
        env={
            "JAVA_HOME": "/usr/lib/jvm/default-java",
            "CATALINA_HOME": _HOME,
            **UTF8,
            **path(f"{_HOME}/bin"),
        },
        cmd=("catalina.sh", "run"),
        workdir=_HOME,
        ports=(8080,),
        links={
            f"{_HOME}/bin": f"{there}/bin",
            f"{_HOME}/lib": f"{there}/lib",
            f"{_HOME}/conf": f"{there}/skel/conf",
        },
        # What makes the directories that are empty in the image.
        files={f"{_HOME}/{each}/.keep": "" for each in ("logs", "temp", "webapps", "work")},
        version=version,
    )


TOMCAT, TOMCAT_11 = _tomcat("10", "10.1"), _tomcat("11", "11.0")
