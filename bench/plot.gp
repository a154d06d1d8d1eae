# SPDX-License-Identifier: GPL-2.0
#
# growth.svg and .png: how the cost grows with operations, pages and bytes.
# beside.svg and .png: what the call costs beside its alternatives.
# library.svg and .png: what the library costs in each tier.

set encoding utf8
set style line 1 lc rgb '#1f77b4' lw 2 pt 7 ps 0.6
set style line 2 lc rgb '#2ca02c' lw 2 pt 9 ps 0.6
set style line 3 lc rgb '#d62728' lw 2 dt 2 pt 5 ps 0.6
set style line 4 lc rgb '#ff7f0e' lw 2 dt 2 pt 13 ps 0.6
set grid lc rgb '#dddddd'

do for [format in 'svg png'] {
	# Names are printed as they are.
	if (format eq 'svg') {
		set terminal svg noenhanced size 800,800 font 'sans,14' background 'white'
	} else {
		set terminal pngcairo noenhanced size 800,800 font 'sans,11'
	}

	set output 'growth.'.format
	set multiplot layout 2,1
	set key left top Left reverse
	set ylabel 'instructions per call'
	set yrange [0:*]
	set xlabel 'operations (add, 8 bytes each)'
	set xrange [0:17]
	plot 'ops-add-8-in-n-pages-cpu_opv.dat' with linespoints ls 2 title 'cpu_opv, a page each', \
	     'ops-add-8-in-n-pages-2017.dat' with linespoints ls 3 title '2017, both', \
	     'ops-add-8-in-one-page-cpu_opv.dat' with linespoints ls 1 title 'cpu_opv, one page'
	set xlabel 'bytes'
	set xrange [0:4200]
	plot 'bytes-compare-2017.dat' with linespoints ls 3 title '2017, compare', \
	     'bytes-memcpy-2017.dat' with linespoints ls 4 title '2017, memcpy', \
	     'bytes-memcpy-cpu_opv.dat' with linespoints ls 2 title 'cpu_opv, memcpy', \
	     'bytes-compare-cpu_opv.dat' with linespoints ls 1 title 'cpu_opv, compare'
	unset multiplot
	unset output

	# A bar for each way, with its number behind it.
	if (format eq 'svg') {
		set terminal svg noenhanced size 800,480 font 'sans,14' background 'white'
	} else {
		set terminal pngcairo noenhanced size 800,480 font 'sans,11'
	}
	set output 'beside.'.format
	unset key
	unset ylabel
	set xlabel 'instructions per call, on a scale of powers of ten'
	set logscale x
	set xrange [1:100000]
	set datafile separator tab
	stats 'beside.dat' using 1 nooutput
	set yrange [STATS_max + 0.7:-0.7]
	set ytics scale 0
	set lmargin 42
	set rmargin 4
	set style fill solid 0.9 noborder
	set boxwidth 0.7
	plot 'beside.dat' using (sqrt($3)):1:(1):3:($1 - 0.35):($1 + 0.35):(strcol(2) eq 'cpu_opv' ? 0x1f77b4 : 0x999999):ytic(4) \
	          with boxxyerror lc rgb variable, \
	     'beside.dat' using ($3 * 1.2):1:3 with labels left
	set datafile separator whitespace
	unset logscale x
	set ytics autofreq scale 1
	set lmargin -1
	set rmargin -1
	unset output
}

# Each operation of the library, a bar for each tier.
reset
set style data histogram
set style histogram cluster gap 1
set style fill solid noborder
set datafile separator tab
set key above horizontal autotitle columnheader
set grid y lc rgb '#dddddd'
set yrange [1:*]
set logscale y
set ylabel 'instructions, on a scale of powers of ten'
set xtics rotate by 35 right
set bmargin 11
set lmargin 20
do for [format in 'svg png'] {
	if (format eq 'svg') {
		set terminal svg noenhanced size 800,600 font 'sans,14' background 'white'
	} else {
		set terminal pngcairo noenhanced size 800,600 font 'sans,11'
	}
	set output 'library.'.format
	plot 'library.dat' using 2:xtic(1) lc rgb '#1f77b4', '' using 3 lc rgb '#2ca02c', \
	     '' using 4 lc rgb '#ff7f0e', '' using 5 lc rgb '#d62728', '' using 6 lc rgb '#7f7f7f'
	unset output
}
