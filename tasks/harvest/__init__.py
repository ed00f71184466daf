"""Fetch the media file of every track: politely, completely, and with a reason where it fails.

    Track -> fetch.harvest_track -> Outcome[Harvest]

``fetch`` decides, ``ytdlp`` alone runs yt-dlp, ``outcomes`` says what an error means, ``pace``
keeps the rate, ``local`` looks at files that the user already has.
"""
