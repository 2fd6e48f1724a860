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
