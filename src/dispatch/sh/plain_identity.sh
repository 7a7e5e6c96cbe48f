# The process and when it began, in ticks since boot: no other process ever has both.
started=$(sed 's/.*) //' "/proc/$$/stat" | cut -d ' ' -f 20)
job="$$.$started"
