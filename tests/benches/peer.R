# The jobs of the bench `peer` in R with CompQuadForm, its defaults.
#
# Reads lines `FRAMEWORK JOB SECONDS` on stdin, repeats the job for about so long, and answers with the seconds that one
# repetition took in the middle (median of groups of 50) and P(Q > q).

library(CompQuadForm)

input <- file("stdin", "r")
while (length(line <- readLines(input, n = 1)) > 0) {
  words <- strsplit(line, " ")[[1]]
  count <- suppressWarnings(as.integer(sub("gamma_sum_", "", words[2])))
  if (is.na(count)) {
    cat("absent\n")
    next
  }
  lambda <- 0.01^((seq_len(count) - 1) / count)
  q <- 1.3 * sum(lambda)
  times <- c()
  end <- Sys.time() + as.numeric(words[3])
  while (Sys.time() < end || length(times) < 3) {
    begin <- Sys.time()
    for (i in 1:50) found <- davies(q, lambda)
    times <- c(times, as.numeric(Sys.time() - begin, units = "secs") / 50)
  }
  cat(median(times), found$Qq, "\n")
  flush(stdout())
}
