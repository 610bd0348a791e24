import JobCore
import Multiprocessing

/// What the service knows of a task's arguments before the task sees them: how many, and under
/// which names, the template of a program takes.
extension Server {
  /// Refuses a submission to a program that could only fail.
  func checkArguments(of submission: Submission) throws(Problem) {
    guard !taskSettings.isEmpty, let program = taskSettings[submission.task]?.program else {
      return
    }
    // A task of the same name in Swift takes what it likes, and without a pool it is that which
    // runs.
    if let pool = submission.pool {
      guard pool == program.pool else { return }
    } else if workerTasks.contains(submission.task) {
      return
    }
    do throws(ArgumentMismatch) {
      _ = try program.arguments.arguments(
        args: submission.args, kwargs: submission.options?.kwargs ?? "")
    } catch {
      throw Problem(
        status: 422, code: .invalidArguments, detail: "\(error)",
        mistakes: [.init(detail: "\(error)", pointer: error.pointer)])
    }
  }
}
