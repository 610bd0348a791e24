import Glibc
import Lido
import Multiprocessing
import TestSupport

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

/// `fork_grandchild(seconds)`: forks this process, without a program of its own, into a session of
/// its own, and answers its pid at once. Swift does not offer fork(2), for good reasons; the child
/// calls nothing but what may be called there.
let forkGrandchild = TaskDefinition<Int, Int>("fork_grandchild") { seconds in
  guard let address = dlsym(nil, "fork") else { throw SpawnFailure(number: ENOSYS) }
  let fork = unsafeBitCast(address, to: (@convention(c) () -> pid_t).self)
  let pid = fork()
  if pid == 0 {
    setsid()
    last(milliseconds: seconds * 1_000)  // It is only there to be killed.
    _exit(0)
  }
  return Int(pid)
}

/// The task `sleep` takes as many seconds as it is told, and answers them.
let pause = TaskDefinition<Double, Double>("sleep") { seconds in
  last(milliseconds: Int(seconds * 1_000))
  return seconds
}

/// `open_files()`: answers how many descriptors this process may have, its soft limit.
let openFiles = TaskDefinition<NoArgument, Int>("open_files") { _ in
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  return Int(limit.rlim_cur)
}

/// `append(path, number)`: appends the number to a file, a line by one write, and answers it.
let append = TaskDefinition<Arguments<String, Int>, Int>("append") { (path: String, number: Int) in
  let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
  guard descriptor >= 0 else { throw SpawnFailure(number: errno) }
  defer { close(descriptor) }
  var line = "\(number)\n"
  line.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
  return number
}

/// Why no process was started: an `errno` value.
struct SpawnFailure: Error {
  let number: Int32
}

Misbehaviour.misbehaveAtStart()

Lido.main(
  tasks: [
    spawnGrandchild.erased, forkGrandchild.erased, pause.erased, openFiles.erased, append.erased,
  ]
    + [Torture.task.erased] + Misbehaviour.tasks,
  initializers: [pause.erased])
