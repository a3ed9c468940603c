"""A cron expression in words says its slots, all of them and no others."""

import pytest

from nightshift.schedules.cron import from_five_fields
from nightshift.schedules.cron_words import in_words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 3 * * *", "At 03:00 every day"),
        ("30 2,14 * * *", "At 02:30 and 14:30 every day"),
        ("0,30 9 * * MON", "At 09:00 and 09:30 on Mondays"),
        ("0 3 * * MON-FRI", "At 03:00 from Monday to Friday"),
        ("0 3 * * SAT,SUN", "At 03:00 on Saturdays and Sundays"),
        ("0 3 * * FRI-MON", "At 03:00 on Mondays, Fridays, Saturdays and Sundays"),
        ("0 3 1 * *", "At 03:00 on day 1 of the month"),
        ("0 3 1,15 6 *", "At 03:00 on days 1 and 15 of the month in June"),
        ("0 3 1-7 1,7 *", "At 03:00 on days 1 to 7 of the month in January and July"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0 * * * *", "Every hour at minute 0"),
        ("20 */2 * * *", "Every 2 hours, from 00:20"),
        ("5 1-23/3 * * SUN", "Every 3 hours, from 01:05 on Sundays"),
        ("*/15 9-17 * * *", "Every 15 minutes of the hours 9 to 17"),
        ("5-59/20 * * * *", "At the minutes 5, 25 and 45"),
        ("* * * * *", "Every minute"),
        ("* 4 * * *", "Every minute of the hour 4"),
        ("*/7 * * * *", "At the minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56"),
        ("0 1-11 * * *", "At the minute 0 of the hours 1 to 11"),
        ("0 */12 * * *", "At 00:00 and 12:00 every day"),
    ],
)
def test_it_is_said_as_people_say_it(text, said):
    assert in_words(from_five_fields(text)) == said
