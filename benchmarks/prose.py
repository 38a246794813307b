"""What the page of figures says between its tables."""

from __future__ import annotations

from benchmarks import fleet

PACING_PLOT, FLEET_PLOT = "performance-pacing.svg", "performance-fleet.svg"

INTRODUCTION = """
# Performance

Backstop against what people use instead, side by side on one machine. `make bench` measures all of it again and
writes this page. Ratios are what counts: both sides of each were measured in turns, in one run. Absolute times hold
for this machine only.
"""

CONCLUSION = """
What to conclude. Where progress can be trusted, Backstop learns of a backup's end with less than a tenth of the polls
of whoever learns of it as soon; where nothing is known, its polls are spent about as well as they can be. An instance
of it is lighter than the same function with the clients imported whole, and starts sooner; what its cold start costs is
hundredths of a cent for a backup. And a fleet of thousands is limited by Spanner's quota alone: it is told later,
and nothing is lost. A bar that is missed stays here as missed, and its section says what was tried.
"""

POLLS = f"""
## When it learns of the end

Everybody who waits for a backup polls. Each poll costs one of Spanner's administrative calls, of which a project has
five a second, and each poll that comes late costs lag. A thousand operations of each kind, all made up, are replayed
against every policy. To know nothing and to poll evenly costs, in polls times lag, half of the time waited through:
that is the floor of whoever knows nothing, and a figure below 1 in the column "to the floor" is what progress and
history are worth. The best of the others is the one with the least polls times lag.

![Lag against polls]({PACING_PLOT})

What to conclude. Where progress can be trusted or the database has a history, nobody comes near with so few polls;
without either, evenly spaced polls are as good as anything can be, and Backstop is there. It is fooled by progress
that has moved steadily and then goes back while nobody polls, and at times by progress that sticks or jumps: then the
end is seen with minutes of lag, in the worst case with most of an hour, still with fewer polls than any other policy.
A backup of 12 hours without history outlives the guess of two hours by so much that Backstop polls more often than the
samples that poll every five minutes, and is told only some seconds sooner, on the first night only. Polling more seldom
late in such a life was tried: it costs the usual 1 to 4 hours up to twice the lag. So was judging progress by its
distance from a line that is drawn over hours: it brings the lag of progress that lies down to two minutes, and makes
honest progress cost up to three times the polls.
"""

COLD = """
## Cold start

From the start of the process to the first answer, with functions-framework in all of them. The second bar compares
with the same function, but with `google.cloud.spanner` and `google.cloud.pubsub_v1` imported at its top, as Google's
samples do.
"""

IMPORTS = """
Where it goes, each stage on top of the ones before it, in a new process:
"""

COLD_COSTS = """
What was done: the generated clients of the three services, and of these the ones that a message calls, when it calls
them; without a search for garbage while importing. Signing in isn't in these figures, for none of the functions, as an
emulator asks for no token: google-auth adds some requests to the metadata server of the same machine at the first call.

In seconds: a cold delivery takes some 0.2 s longer than it did with calls of our own. A poll that comes 0.2 s later
is nothing beside the lag of pacing, which is tens of seconds.

In money: Cloud Run takes $0.000024 for a vCPU second and $0.0000025 for a GiB second in the cheaper regions, and counts
the start of an instance ([prices](https://cloud.google.com/run/pricing), documented). With one vCPU and 512 MiB half a
second costs $0.0000126. A backup of 22 polls that are all cold costs $0.0003 at most, in a month of 1,000 backups 28
cents (computed), less what is free each month.

Startup CPU boost doubles one vCPU while an instance starts and for 10 s after that, and bills what it gives
([documented](https://cloud.google.com/run/docs/configuring/services/cpu#startup-boost)). Importing is the work of one
thread, so that a second vCPU shortens little of it (inferred). One warm instance ends cold starts but for the second
instance; at $0.0000025 for an idle vCPU second and for a GiB second it costs about $10 a month
([documented](https://cloud.google.com/run/docs/configuring/min-instances), computed): thirty times what a thousand
backups a month cost without. Neither is worth it here, and the module leaves both alone.
"""

MEMORY = """
## Memory

The server and its worker together, pages that they share counted once, after polls mostly, some starts and some
rejected messages.
"""

THROUGHPUT = """
## Throughput

How many deliveries one instance answers, beside a bare function that publishes one message and one that makes one
call of Spanner's. A follow-up makes two calls (Spanner, Cloud Tasks), a start makes four (the list, the backup, Cloud
Tasks, the outcome), a rejected message makes one. So a follow-up can't do better than half of a function with one
call. At Spanner's quota of five calls a second none of this is ever the limit.
"""

FLEETS = f"""
## Fleets

A night in virtual time: at 02:00 one message for each instance starts the backups of its {fleet.DATABASES} databases.
They take 1 to 4 hours, 20 % differently from night to night; half of them show progress; 5 % are cancelled on the
way. The queue lets {fleet.RATE:g} follow-ups a second through. Spanner refuses what is over 5 calls a second in any
100 s.

![Calls per second over the night]({FLEET_PLOT})
"""

FLEET_RATES = """
The largest fleet, told at once or with its schedules spread over ten minutes, and with other rates of the queue:
"""

FLEET_MEANING = """
What to conclude. The queue paces the starts, too: the start of an instance asks nothing of Spanner before its turn
comes, so 500 of them may come in the same ten seconds, and nobody has to spread schedules. Whatever people cancel,
follow or start one by one is carried out when it comes, and takes its part of the quota at once.

A dispatch makes at most three calls, so 1.5 dispatches a second, a burst of ten included, can't be over the quota
whatever they do. The module's default of one leaves room for people and other tools; a fleet of thousands that has
the quota for itself is done hours sooner with 1.5, the most that the module takes. Two would be sooner still, with
nothing left for a single command that somebody publishes.

One backup never costs more in a large fleet than in a small one. It costs less: when more polls are due than the
queue lets through, they wait, each chain has only one of them waiting, and what is late is polled once instead of
several times. So a fleet that is too large for the quota is told later, and nothing else happens to it.
"""

LIVES = """
## A thousand lives

Nothing virtual: Google's Pub/Sub emulator pushes, the function is a process of its own, and backups that take seconds
instead of hours complete, are cancelled in time, are cancelled too late and deleted, or outlive their `cancel_after`.
"""

ENTER = """
## From Enter to Spanner

`python -m benchmarks.command_line` counts from pressing Enter on a cancel until Spanner receives CancelOperation.
Backstop's way leads through Pub/Sub and the function, all on this machine. gcloud's call ends at a server that only
notes the time.
"""

COSTS = """
## Where Backstop costs more

- A process that already waits, such as a laptop with gcloud, starts nothing and polls every ten seconds: it knows of
  the end within five seconds on average. It also makes hundreds of calls for each backup, and fifty such processes
  use up the quota of a project.
- Each poll is a message, a task and a cold or warm start of the function, and two calls, as the next poll has to be
  written down somewhere; a thread that sleeps costs none of them but one.
- A bare function that starts a backup and never polls again makes fewer deliveries and is smaller. It doesn't know
  how the backup ended.
- Progress that lies costs lag, as said above; a policy that never believes it has none of that.
- Shortly after a cancel, the Workflows connector and gcloud know of its end some seconds earlier, with more calls.
"""
