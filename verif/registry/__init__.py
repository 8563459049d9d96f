"""The units that there are: the only place that names them all."""
