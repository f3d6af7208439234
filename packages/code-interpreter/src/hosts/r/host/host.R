# Runs the cells of one context. The server speaks to it over descriptor 3, see r-host.ts: frames of JSON. R cannot open a
# descriptor that it was given, so two programs carry them; an interrupt of a cell is not for these.
local({
  told <- pipe("trap '' INT; exec cat <&3", "rb")
  said <- pipe("trap '' INT; exec cat >&3", "wb")
  count <- 0L
  plots <- file.path(tempdir(), "plot%03d.png")

  say <- function(message) {
    bytes <- charToRaw(enc2utf8(as.character(jsonlite::toJSON(message, auto_unbox = TRUE, null = "null", digits = NA))))
    writeBin(length(bytes), said, size = 4L, endian = "big")
    writeBin(bytes, said)
    flush(said)
  }
  hear <- function() {
    length <- readBin(told, "integer", size = 4L, endian = "big")
    if (length(length) == 0L) return(NULL)
    bytes <- raw(0)
    while (length(bytes) < length) {
      more <- readBin(told, "raw", length - length(bytes))
      if (length(more) == 0L) return(NULL)
      bytes <- c(bytes, more)
    }
    text <- rawToChar(bytes)
    Encoding(text) <- "UTF-8"
    jsonlite::fromJSON(text, simplifyVector = FALSE)
  }
  # R's generator has one state, whoever has set it: `set.seed` notes that it was code.
  seeded <- FALSE
  original <- base::set.seed
  note_seed <- function(seed, ...) {
    seeded <<- !is.null(seed)
    original(seed, ...)
  }
  unlockBinding("set.seed", baseenv())
  assign("set.seed", note_seed, envir = baseenv())
  lockBinding("set.seed", baseenv())
  reseed <- function() {
    if (!seeded && exists(".Random.seed", globalenv(), inherits = FALSE)) rm(".Random.seed", envir = globalenv())
  }
  change <- function(variables) {
    for (name in names(variables)) {
      value <- variables[[name]]
      if (is.null(value)) Sys.unsetenv(name) else do.call(Sys.setenv, stats::setNames(list(value), name))
    }
  }
  # Pictures that are drawn go out when the expression is over.
  show_plots <- function() {
    if (grDevices::dev.cur() > 1L) grDevices::graphics.off()
    for (file in sort(Sys.glob(sub("%03d", "*", plots, fixed = TRUE)))) {
      bytes <- readBin(file, "raw", file.size(file))
      unlink(file)
      if (length(bytes) > 0L)
        say(list(type = "result", main = FALSE, data = list("image/png" = gsub("\n", "", jsonlite::base64_enc(bytes), fixed = TRUE))))
    }
  }
  options(
    device = function(...) grDevices::png(plots, width = 960, height = 720, res = 120),
    menu.graphics = FALSE, pager = "cat", width = 120L
  )
  error_of <- function(condition, calls) {
    text <- conditionMessage(condition)
    call <- conditionCall(condition)
    is_own <- is.null(call) || identical(call[[1L]], quote(parse)) || any(grepl("expressions[[index]]", deparse(call), fixed = TRUE))
    head <- if (is_own) "Error: " else paste0("Error in ", paste(deparse(call), collapse = " "), ": ")
    trace <- vapply(calls, function(call) paste(deparse(call, nlines = 1L), collapse = " "), "")
    name <- if (inherits(condition, "simpleError")) "Error" else class(condition)[[1L]]
    list(type = "error", name = name, value = text, traceback = paste(c(paste0(head, text), trace), collapse = "\n"))
  }
  evaluate <- function(code) {
    expressions <- parse(text = code, keep.source = FALSE, encoding = "UTF-8")
    depth <- sys.nframe()
    for (index in seq_along(expressions)) {
      outcome <- withVisible(eval(expressions[[index]], globalenv()))
      if (outcome$visible) {
        text <- paste(utils::capture.output(print(outcome$value)), collapse = "\n")
        if (index < length(expressions)) cat(text, "\n", sep = "")
        else say(list(type = "result", main = TRUE, data = list("text/plain" = text)))
      }
      show_plots()
    }
  }
  run <- function(code) {
    calls <- list()
    tryCatch(
      withCallingHandlers(
        evaluate(code),
        warning = function(condition) {
          message("Warning message:\n", conditionMessage(condition))
          invokeRestart("muffleWarning")
        },
        error = function(condition) {
          all <- sys.calls()
          # Of the cell: behind `withVisible`, twice `eval` and before what R calls handlers by.
          first <- which(vapply(all, function(call) identical(call[[1L]], quote(withVisible)), NA))
          calls <<- if (length(first) > 0L) utils::head(utils::tail(all, -(first[[1L]] + 2L)), -2L) else list()
        }
      ),
      error = function(condition) say(error_of(condition, calls)),
      interrupt = function(condition) {
        text <- "The execution was interrupted"
        say(list(type = "error", name = "Interrupted", value = text, traceback = text))
      }
    )
    if (grDevices::dev.cur() > 1L) grDevices::graphics.off()
  }

  say(list(type = "ready"))
  repeat {
    cell <- tryCatch(hear(), interrupt = function(condition) NA)
    if (is.null(cell)) break
    if (!is.list(cell)) next
    # A copy of a sandbox begins a sequence of its own; R seeds itself when it next draws.
    if (cell$reseed) reseed()
    change(cell$env)
    count <- count + 1L
    say(list(type = "count", executionCount = count))
    run(cell$code)
    change(cell$envAfter)
    say(list(type = "done"))
  }
})
