"use strict";
(function () {
	var data = JSON.parse(document.getElementById("data").textContent);
	var byId = function (id) { return document.getElementById(id); };
	var form = document.querySelector(".filters");
	var rows = Array.prototype.slice.call(document.querySelectorAll(".cases > tbody > tr"));
	var text = function (i) { return data.texts[i]; };

	// make builds an element. Nothing here ever parses HTML: whatever a server sent is a text.
	function make(name, cls) {
		var e = document.createElement(name);
		if (cls) { e.className = cls; }
		for (var i = 2; i < arguments.length; i++) { e.append(arguments[i]); }
		return e;
	}
	function sign(verdict) {
		var s = make("span", "sign " + verdict, data.verdicts[verdict].symbol);
		s.title = data.verdicts[verdict].words;
		return s;
	}

	// Filters.

	var search = rows.map(function (row) {
		var c = data.cases[row.id], words = [row.textContent, text(c.source), (c.defect || []).join(" ")];
		c.cells.forEach(function (cell) {
			if (cell) { cell.outcomes.forEach(function (o) { words.push(text(o.text)); }); }
		});
		return words.join(" ").toLowerCase();
	});
	var value = function (id) { return byId(id) ? byId(id).value : ""; };
	function chosen() {
		return Array.prototype.slice.call(form.querySelectorAll("[aria-pressed=true]")).map(function (b) { return b.dataset.verdict; });
	}
	function filter() {
		close();
		var words = value("q").toLowerCase().split(/\s+/), role = value("role"), topic = value("topic"), level = value("level");
		var column = value("column"), verdicts = chosen(), shown = 0;
		rows.forEach(function (row, i) {
			var cells = data.cases[row.id].cells;
			if (column !== "") { cells = [cells[column]]; }
			var ok = (!role || row.dataset.role === role) && (!topic || row.dataset.topic === topic) &&
				(!level || row.dataset.level === level) &&
				cells.some(function (c) { return c && (verdicts.length === 0 || verdicts.indexOf(c.verdict) >= 0); }) &&
				words.every(function (w) { return search[i].indexOf(w) >= 0; });
			row.hidden = !ok;
			if (ok) { shown++; }
		});
		byId("shown").textContent = shown === rows.length ? rows.length + " cases" : shown + " of " + rows.length + " cases";
		byId("nothing").hidden = shown > 0;
	}
	var waits;
	form.hidden = false;
	form.addEventListener("input", function () { clearTimeout(waits); waits = setTimeout(filter, 80); });
	form.addEventListener("submit", function (e) { e.preventDefault(); });
	function showAll() {
		form.querySelectorAll("input, select").forEach(function (e) { e.value = ""; });
		form.querySelectorAll(".chip").forEach(function (b) { b.setAttribute("aria-pressed", "false"); });
		filter();
	}
	byId("all").addEventListener("click", showAll);
	form.addEventListener("click", function (e) {
		var chip = e.target.closest(".chip");
		if (!chip) { return; }
		chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
		filter();
	});
	// The overview and the matrix choose what the list shows.
	document.querySelectorAll("a[href='#cases']").forEach(function (a) {
		a.addEventListener("click", function () {
			if (byId("topic")) { byId("topic").value = a.dataset.topic || ""; }
			if (byId("column")) { byId("column").value = a.dataset.column || ""; }
			if (byId("role")) { byId("role").value = ""; }
			filter();
		});
	});

	// Bytes.

	// show appends bytes: control characters and the like are seen, and those of marks (a list of
	// [from, to) in characters) are marked.
	function show(into, s, marks) {
		var m = 0, mark = null, plain = "";
		function flush() {
			if (plain) { (mark || into).append(plain); plain = ""; }
		}
		function special(t, cls) { flush(); (mark || into).append(make("span", cls, t)); }
		for (var i = 0; i < s.length; i++) {
			while (m < marks.length && marks[m][1] <= i) { flush(); mark = null; m++; }
			if (m < marks.length && marks[m][0] <= i && !mark) { flush(); mark = make("mark"); into.append(mark); }
			var c = s.charCodeAt(i);
			if (c === 13 && s.charCodeAt(i + 1) === 10) {
				special("\\r\\n", "ctl");
				plain += "\n";
				i++;
			} else if (c === 10) {
				special("\\n", "ctl");
				plain += "\n";
			} else if (c === 13) {
				special("\\r", "ctl");
			} else if (c === 9) {
				special("\\t", "ctl");
			} else if (c === 32) {
				special(" ", "sp");
			} else if (c < 32 || c > 126) {
				special("\\x" + (c < 16 ? "0" : "") + c.toString(16), "ctl");
			} else {
				plain += s[i];
			}
		}
		flush();
	}

	// differ returns what of a is not in b, and the other way round, as marks. It compares words
	// and signs, not characters, so that the marks can be read.
	function differ(a, b) {
		var words = /\r\n|[A-Za-z0-9_-]+|[\s\S]/g;
		var x = a.match(words) || [], y = b.match(words) || [];
		var from = 0, ends = 0;
		while (from < x.length && from < y.length && x[from] === y[from]) { from++; }
		while (ends < x.length - from && ends < y.length - from && x[x.length - 1 - ends] === y[y.length - 1 - ends]) { ends++; }
		var n = x.length - from - ends, k = y.length - from - ends;
		// length[i][j] is that of the longest common part of what begins at i and j.
		var length = [], i, j;
		for (i = n; i >= 0; i--) {
			length[i] = new Uint16Array(k + 1);
			for (j = k - 1; j >= 0 && i < n; j--) {
				length[i][j] = x[from + i] === y[from + j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
			}
		}
		var inX = new Array(x.length).fill(true), inY = new Array(y.length).fill(true);
		for (i = 0; i < from; i++) { inX[i] = inY[i] = false; }
		for (i = 0; i < ends; i++) { inX[x.length - 1 - i] = inY[y.length - 1 - i] = false; }
		for (i = 0, j = 0; i < n && j < k;) {
			if (x[from + i] !== y[from + j]) {
				if (length[i + 1][j] >= length[i][j + 1]) { i++; } else { j++; }
				continue;
			}
			// A run of a few signs between two differences says nothing.
			var run = 0, chars = 0;
			while (i + run < n && j + run < k && x[from + i + run] === y[from + j + run]) { chars += x[from + i + run].length; run++; }
			if (chars > 5 || i + run === n && j + run === k && ends > 0 || i === 0 && j === 0) {
				for (var r = 0; r < run; r++) { inX[from + i + r] = inY[from + j + r] = false; }
			}
			i += run;
			j += run;
		}
		return [marks(x, inX), marks(y, inY)];
	}
	function marks(words, differs) {
		var all = [], at = 0;
		words.forEach(function (w, i) {
			if (differs[i]) {
				if (all.length && all[all.length - 1][1] === at) { all[all.length - 1][1] += w.length; } else { all.push([at, at + w.length]); }
			}
			at += w.length;
		});
		return all;
	}
	// within returns the part of marks that is in [from, to), counted from there.
	function within(all, from, to) {
		return all.filter(function (m) { return m[0] < to && m[1] > from; }).map(function (m) { return [Math.max(m[0], from) - from, Math.min(m[1], to) - from]; });
	}

	// The details of a case.

	var open = null; // {row, column}
	function close() {
		document.querySelectorAll("tr.detail").forEach(function (e) { e.remove(); });
		document.querySelectorAll("tr.open, a.on").forEach(function (e) { e.classList.remove("open", "on"); });
		open = null;
	}
	function outcomes(list) {
		var ul = make("ul");
		list.forEach(function (o) {
			var li = make("li", "", make("code", "", text(o.text)));
			if (o.in) { li.append(" ", make("small", "", o.in)); }
			ul.append(li);
			if (o.why) { ul.append(make("li", "why", text(o.why))); }
		});
		return ul;
	}
	function wire(label, of) {
		var e = make("div", "wire " + of);
		e.tabIndex = 0;
		e.setAttribute("role", "group");
		e.setAttribute("aria-label", label);
		return e;
	}
	function note(s) { return make("span", "note", s); }

	function sides(c, column) {
		var cell = c.cells[column], ref = c.ref, box = make("div", "sides");
		var trace = cell.trace || [], name = data.names[column];
		var came = trace.filter(function (e) { return e.kind === "received"; }).map(function (e) { return text(e.text); }).join("");
		var theirs = ref ? text(ref.received) : "", cut = theirs.length >= data.limit;
		var both = trace.length && ref ? differ(came, theirs) : [[], []];
		if (cut && both[0].length) { // what comes after the recording's end is not a difference
			var last = both[0][both[0].length - 1];
			if (last[1] === came.length && came.length > theirs.length) { both[0].pop(); }
		}
		box.append(
			make("div", "head sent", make("h3", "", "sent" + (cell.delivery ? ", delivery " + cell.delivery : ""))),
			make("div", "head subject", make("h3", "", sign(cell.verdict), name + ": " + data.verdicts[cell.verdict].words), outcomes(cell.outcomes)));
		var right = make("div", "head reference", make("h3", "", "the reference"));
		if (ref) {
			right.append(outcomes(ref.outcomes));
			if (ref.breaks) { right.querySelector("ul").append(make("li", "why", "breaks the rule: " + text(ref.breaks))); }
		}
		box.append(right, sentBytes(c, cell));

		var w = wire("what came from " + name, "subject"), at = 0, some = false;
		trace.forEach(function (e) {
			var s = e.kind === "sent" ? "" : text(e.text);
			if (e.kind === "received") {
				show(w, s, within(both[0], at, at + s.length));
				at += s.length;
				some = true;
				if (e.left) { w.append(note(e.left + " bytes more")); }
			} else if (e.kind === "end") {
				w.append(note(s));
			} else if (e.kind === "told") {
				w.append(note("it says: " + s + (e.left ? " (" + e.left + " bytes more)" : "")));
			} else if (some) {
				w.append(note("then more was sent"));
			}
		});
		if (!trace.length) {
			w.append(note("the same outcome as the reference's, so its bytes are not kept here"));
		} else if (!some) {
			w.prepend(note("nothing came"));
		}
		box.append(w);

		var v = wire("what came from the reference", "reference");
		if (ref) {
			show(v, theirs, both[1]);
			if (!theirs) { v.append(note("nothing came")); }
			if (cut) { v.append(note("the recording keeps no more")); }
		} else {
			v.append(note("there is none: the rules alone count"));
		}
		box.append(v);
		return box;
	}
	function sentBytes(c, cell) {
		var w = wire("what was sent", "sent"), n = 0, came = 0;
		(cell.trace || []).forEach(function (ev) {
			if (ev.kind === "sent") {
				if (n++ && came) { w.append(note("after something had come")); }
				came = 0;
				show(w, text(ev.text), []);
				if (ev.left) { w.append(note(ev.left + " bytes more")); }
			} else if (ev.kind === "received") {
				came = 1;
			}
		});
		if (!n) { show(w, text(c.sent), []); }
		if (!n && text(c.sent).length >= data.limit) { w.append(note("and more")); }
		if (!n && !c.sent) { w.append(note("nothing")); }
		return w;
	}
	function detail(row, column) {
		var c = data.cases[row.id];
		close();
		open = { row: row, column: column };
		row.classList.add("open");
		var td = make("td"), dl = make("dl"), allowed = make("dd");
		td.colSpan = 2 + data.names.length;
		(c.allowed || []).forEach(function (a, i) { allowed.append(i ? " or " : "", make("code", "", text(a))); });
		dl.append(make("dt", "", "source"), make("dd", "", text(c.source)));
		if (c.defect) { dl.append(make("dt", "", "defect"), make("dd", "", c.defect.join(", "))); }
		if (c.allowed) { dl.append(make("dt", "", "allowed"), allowed); }
		td.append(dl);
		var cell = c.cells[column];
		if (data.names.length > 1) {
			var tabs = make("div", "tabs");
			tabs.setAttribute("role", "group");
			tabs.setAttribute("aria-label", "implementation");
			data.names.forEach(function (name, i) {
				if (!c.cells[i]) { return; }
				var b = make("button", "", sign(c.cells[i].verdict), " ", name);
				b.type = "button";
				b.setAttribute("aria-pressed", String(i === column));
				b.addEventListener("click", function () {
					detail(row, i);
					history.replaceState(null, "", link(row.id, i));
					row.nextElementSibling.querySelector(".tabs [aria-pressed=true]").focus();
				});
				tabs.append(b);
			});
			td.append(tabs);
		}
		td.append(sides(c, column));
		row.after(make("tr", "detail", td));
		var a = row.querySelectorAll("td:nth-child(n+3)")[column].querySelector("a");
		if (a) { a.classList.add("on"); }
	}
	// first is the column to show of a case: the one with the worst verdict.
	function first(id) {
		var best = 0, worst = -1;
		data.cases[id].cells.forEach(function (c, i) {
			if (c && ranks.indexOf(c.verdict) > worst) { best = i; worst = ranks.indexOf(c.verdict); }
		});
		return best;
	}
	var ranks = ["same", "not-played", "same-broken", "allowed", "silent", "forbidden"];
	function link(id, column) { return "#" + encodeURI(id) + "@" + encodeURIComponent(data.names[column]); }
	function address() {
		var hash = location.hash.slice(1), at = hash.indexOf("@");
		try {
			return [decodeURIComponent(at < 0 ? hash : hash.slice(0, at)), at < 0 ? "" : decodeURIComponent(hash.slice(at + 1))];
		} catch (e) {
			return ["", ""];
		}
	}
	function follow(scroll) {
		var to = address(), id = to[0];
		if (!Object.prototype.hasOwnProperty.call(data.cases, id)) { return; }
		var row = byId(id), column = data.names.indexOf(to[1]);
		if (column < 0 || !data.cases[id].cells[column]) { column = first(id); }
		if (row.hidden) { showAll(); }
		detail(row, column);
		if (scroll) { row.scrollIntoView(); }
	}
	window.addEventListener("hashchange", function () {
		var r = open && open.row;
		follow(!r || r.id !== address()[0]);
	});
	// A second click closes.
	document.querySelector(".cases").addEventListener("click", function (e) {
		var a = e.target.closest("tbody > tr[id] a");
		if (!a) { return; }
		var row = a.closest("tr");
		if (open && open.row === row && (a.classList.contains("on") || a.parentNode.nodeName === "TH")) {
			e.preventDefault();
			close();
			history.replaceState(null, "", "#");
			return;
		}
		if (a.href === location.href) { follow(false); } // it has been closed since, and no hash changes
	});

	// Keys: / for the text, Escape to close, arrows from cell to cell.
	function cells(row) { return row.querySelectorAll(":scope > th > a, :scope > td > a"); }
	function next(row, step) {
		do { row = step > 0 ? row.nextElementSibling : row.previousElementSibling; } while (row && (row.hidden || !row.id));
		return row;
	}
	document.addEventListener("keydown", function (e) {
		var typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.nodeName);
		if (e.ctrlKey || e.metaKey || e.altKey) { return; }
		if (e.key === "/" && !typing) {
			e.preventDefault();
			byId("q").focus();
			byId("cases").scrollIntoView();
			return;
		}
		if (e.key === "Escape" && open) {
			var back = open.row;
			close();
			history.replaceState(null, "", "#");
			cells(back)[0].focus();
			return;
		}
		var row = e.target.closest && e.target.closest(".cases > tbody > tr[id]");
		if (!row) { return; }
		var at = Array.prototype.indexOf.call(cells(row), e.target), to = row;
		switch (e.key) {
		case "ArrowDown": to = next(row, 1); break;
		case "ArrowUp": to = next(row, -1); break;
		case "ArrowRight": at++; break;
		case "ArrowLeft": at--; break;
		default: return;
		}
		e.preventDefault();
		if (to && cells(to)[at]) { cells(to)[at].focus(); }
	});
	// Of a row only the first link is a stop of the Tab key: there may be thousands of others.
	document.querySelectorAll(".cases td > a").forEach(function (a) { a.tabIndex = -1; });

	// The names of the columns stay in sight, under the filters.
	var phone = window.matchMedia("(max-width: 760px)");
	function measure() {
		var style = document.documentElement.style;
		style.setProperty("--top", phone.matches ? "0px" : form.offsetHeight + "px");
		style.setProperty("--head", document.querySelector(".cases thead").offsetHeight + "px");
	}
	new ResizeObserver(measure).observe(form);

	filter();
	measure();
	follow(true);
}());
