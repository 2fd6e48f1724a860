"""Does a job every second until it is told to stop; it has no port."""

import signal
import threading

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())

job = 0
while not stopping.wait(1):
    job += 1
    print(f"job {job} done", flush=True)
print("stopped cleanly", flush=True)
