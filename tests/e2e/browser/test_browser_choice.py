"""A name that several different files have: the page shows the choice before anything is downloaded."""

import time

from p2pwire import tree
