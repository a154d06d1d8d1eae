# SPDX-License-Identifier: GPL-2.0
#
# Growth with the number of operations and of bytes: bench.svg and bench.png. What the library
# costs in each tier: library.svg and library.png.

set style line 1 lc rgb '#1f77b4' lw 2 pt 7 ps 0.5
set style line 2 lc rgb '#2ca02c' lw 2 pt 7 ps 0.5
set style line 3 lc rgb '#d62728' lw 2 pt 5 ps 0.5
set style line 4 lc rgb '#ff7f0e' lw 2 pt 5 ps 0.5
set key left top Left reverse
set grid lc rgb '#dddddd'
set ylabel 'instructions per call'
set yrange [0:*]

do for [format in 'svg png'] {
	if (format eq 'svg') {
		set terminal svg size 1000,420 background 'white'
	} else {
		set terminal pngcairo size 1000,420
	}
	set output 'bench.'.format
	set multiplot layout 1,2
	set xlabel 'operations (add, 8 bytes each)'
	set xrange [0:17]
	plot 'ops-add-8-in-one-page-cpu_opv.dat' with linespoints ls 1 title 'cpu_opv, one page', \
	     'ops-add-8-in-n-pages-cpu_opv.dat' with linespoints ls 2 title 'cpu_opv, a page each', \
	     'ops-add-8-in-one-page-2017.dat' with linespoints ls 3 title '2017, one page', \
	     'ops-add-8-in-n-pages-2017.dat' with linespoints ls 4 title '2017, a page each'
	set xlabel 'bytes'
	set xrange [0:4200]
	plot 'bytes-compare-cpu_opv.dat' with linespoints ls 1 title 'cpu_opv, compare', \
	     'bytes-memcpy-cpu_opv.dat' with linespoints ls 2 title 'cpu_opv, memcpy', \
	     'bytes-compare-2017.dat' with linespoints ls 3 title '2017, compare', \
	     'bytes-memcpy-2017.dat' with linespoints ls 4 title '2017, memcpy'
	unset multiplot
	unset output
}

set style data histogram
set style histogram cluster gap 1
set style fill solid noborder
set datafile separator "\t"
set key top left
set xrange [*:*]
set yrange [1:*]
set logscale y
set xlabel ''
set ylabel 'instructions (logarithmic)'
set xtics rotate by -35 left noenhanced
set key noenhanced autotitle columnheader
do for [format in 'svg png'] {
	if (format eq 'svg') {
		set terminal svg size 1000,520 background 'white'
	} else {
		set terminal pngcairo size 1000,520
	}
	set output 'library.'.format
	plot 'library.dat' using 2:xtic(1) lc rgb '#1f77b4', '' using 3 lc rgb '#2ca02c', \
	     '' using 4 lc rgb '#ff7f0e', '' using 5 lc rgb '#d62728', '' using 6 lc rgb '#7f7f7f'
	unset output
}
