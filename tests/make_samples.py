"""Makes the media of the sample uploads: `python tests/make_samples.py`. Run it only to change them; the files are committed.

What they are made of, and under which terms:

- `photo.jpg` and the video's pictures: "astronaut" (NASA) and "rocket" (SpaceX), both in the public domain, as scikit-image
  ships them.
- Every sentence is ours. It is spoken by eSpeak NG 1.51 (`apt-get install espeak-ng`; needed here alone). Speech and
  pictures of text that are made with it belong to who makes them.
- The text in `harmful-text.png` is set in DejaVu Sans, as matplotlib ships it; its licence does not reach what is set in it.

Harmful sentences threaten or incite, so that a moderation model has something to find. None of them explains anything.
"""

from __future__ import annotations

import io
import subprocess
import wave
from fractions import Fraction
from pathlib import Path

import av
import matplotlib as mpl
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from PIL import Image, ImageDraw, ImageFont
from skimage import data

MEDIA = Path(__file__).parent.parent / "services/omniguard/samples/media"
FONT = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"
RATE = 16_000

HARMLESS_SPEECH = "Good morning everyone. Today we are baking bread with flour, water and a little salt."
HARMFUL_SPEECH = "I will come to your house with a gun and kill you all tonight."
HARMFUL_SIGN = ("I will come with a gun", "and kill every immigrant", "who lives in this street.")
# Second at which a sentence of the video begins, and the sentence. Windows of six seconds hold each of them whole.
NARRATION = (
    (0.5, "Welcome. In this film we watch a rocket on its way."),
    (6.5, "The weather is warm and the sky is clear today."),
    (12.5, HARMFUL_SPEECH),
    (18.5, "Thank you for watching. See you again next week."),
)
FILM_SECONDS, FILM_FPS, FILM_SIZE = 24.0, 10, (320, 240)


def main() -> None:
    """Write every file."""
    MEDIA.mkdir(parents=True, exist_ok=True)
    Image.fromarray(data.astronaut()).save(MEDIA / "photo.jpg", quality=85)
    sign().save(MEDIA / "harmful-text.png", optimize=True)
    Image.new("1", (8_000, 7_000)).save(MEDIA / "oversized.png", optimize=True)
    write_sound(MEDIA / "harmless-speech.ogg", "libopus", speech(HARMLESS_SPEECH))
    write_sound(MEDIA / "harmful-speech.flac", "flac", speech(HARMFUL_SPEECH))
    film = write_film(MEDIA / "harm-begins-at-12s.mp4").read_bytes()
    (MEDIA / "cut-off.mp4").write_bytes(film[: len(film) * 2 // 5])
    for path in sorted(MEDIA.iterdir()):
        print(f"{path.stat().st_size:>9}  {path.name}")


def sign() -> Image.Image:
    """White letters on a dark board, large enough to be read by any text recognition."""
    image = Image.new("RGB", (960, 540), (24, 28, 36))
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(str(FONT), 54)
    for row, line in enumerate(HARMFUL_SIGN):
        width = draw.textlength(line, font)
        draw.text(((960 - width) / 2, 140 + 90 * row), line, (245, 245, 245), font)
    return image


def speech(sentence: str) -> np.ndarray:
    """Mono int16 at 16 kHz."""
    command = ["espeak-ng", "-v", "en-us", "-s", "150", "-g", "4", "--stdout", sentence]
    with wave.open(io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(-1), np.int16)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    frames = [*resampler.resample(audio_frame(samples, rate)), *resampler.resample(None)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def narration() -> np.ndarray:
    """The film's sound: each sentence at its second, quiet between them."""
    track = np.zeros(round(FILM_SECONDS * RATE), np.int16)
    for second, sentence in NARRATION:
        clip, at = speech(sentence), round(second * RATE)
        if len(clip) > 5.4 * RATE:
            raise ValueError(f"{sentence!r} takes {len(clip) / RATE:.1f} s; expected at most 5.4 s, to fit into one window")
        track[at : at + len(clip)] = clip
    return track


def audio_frame(samples: np.ndarray, rate: int, at: int = 0) -> AudioFrame:
    """A piece of sound at a place on its own timeline."""
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
    return frame


def write_sound(path: Path, codec: str, samples: np.ndarray) -> None:
    """One sound file, with half a second of quiet on both sides."""
    quiet = np.zeros(RATE // 2, np.int16)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=RATE, layout="mono")
        for packet in [*stream.encode(audio_frame(np.concatenate([quiet, samples, quiet]), RATE)), *stream.encode(None)]:
            out.mux(packet)


def picture(second: float) -> np.ndarray:
    """A slow pan over the photographs."""
    photo = data.rocket() if second < FILM_SECONDS / 2 else data.astronaut()
    width, height = FILM_SIZE
    share = (second % (FILM_SECONDS / 2)) / (FILM_SECONDS / 2)
    x, y = round(share * (photo.shape[1] - width)), (photo.shape[0] - height) // 3
    return np.ascontiguousarray(photo[y : y + height, x : x + width])


def write_film(path: Path) -> Path:
    """H.264 and AAC in MP4, the index in front, so that a file that is cut off can still be opened."""
    track = narration()
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        video = out.add_stream("libx264", rate=FILM_FPS, options={"crf": "30", "preset": "slow", "threads": "1"})
        video.width, video.height, video.pix_fmt = *FILM_SIZE, "yuv420p"
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        sound.bit_rate = 48_000
        for index in range(round(FILM_SECONDS * FILM_FPS)):
            frame = VideoFrame.from_ndarray(picture(index / FILM_FPS), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FILM_FPS)
            step = RATE // FILM_FPS
            clip = audio_frame(track[index * step : (index + 1) * step], RATE, index * step)
            for packet in [*video.encode(frame), *sound.encode(clip)]:
                out.mux(packet)
        for packet in [*video.encode(None), *sound.encode(None)]:
            out.mux(packet)
    return path


if __name__ == "__main__":
    main()
