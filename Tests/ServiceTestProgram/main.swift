import Glibc
import Lido
import Multiprocessing

/// A program on the library, for tests that need tasks which the service does not come with.
///
/// `spawn_grandchild(seconds)`: starts `setsid sleep SECONDS`, a process in a session of its own,
/// and answers its pid at once. `setsid` and `sleep` are those of util-linux and coreutils.
let spawnGrandchild = TaskDefinition<Int, Int>("spawn_grandchild") { seconds in
  let words = ["setsid", "sleep", String(seconds)]
  var arguments: [UnsafeMutablePointer<CChar>?] = words.map { (word: String) in strdup(word) }
  arguments.append(nil)
  defer { for argument in arguments { free(argument) } }
  var pid: pid_t = 0
  let status = posix_spawnp(&pid, "setsid", nil, nil, arguments, environ)
  guard status == 0 else { throw SpawnFailure(number: status) }
  return Int(pid)
}

/// `sleep(seconds)`: sleeps, and answers the seconds.
let pause = TaskDefinition<Double, Double>("sleep") { seconds in
  // No descriptor becomes ready: it waits for its time to be over, or to be killed.
  _ = poll(nil, 0, Int32(seconds * 1_000))
  return seconds
}

/// `open_files()`: answers how many descriptors this process may have, its soft limit.
let openFiles = TaskDefinition<NoArgument, Int>("open_files") { _ in
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  return Int(limit.rlim_cur)
}

/// Why no process was started: an `errno` value.
struct SpawnFailure: Error {
  let number: Int32
}

Misbehaviour.misbehaveAtStart()

Lido.main(tasks: [spawnGrandchild.erased, pause.erased, openFiles.erased] + Misbehaviour.tasks)
