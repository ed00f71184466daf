"""Fetch the media file of every track: politely, completely, and with a reason where it fails.

    Track -> fetch.harvest_track -> Outcome[Harvest]

``fetch`` decides. ``network`` gives every request its turn: ``pace`` says when, ``breaker`` whether, the
``ledger`` remembers for all processes of the machine, ``standing`` tells people. ``ytdlp`` alone runs
yt-dlp: ``options``, ``checks`` and ``cookies`` are what goes in, ``gate`` and ``info`` what may come out.
``outcomes`` and ``statements`` say what an error means, ``local`` looks at files that the user already has.
"""
