# Saved and resumable: the next attempt begins at once, as the same process and with the same devices.
note end 75 requeue
exec bash "$0"
